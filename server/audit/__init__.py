"""`frag audit`: attacks on the product's own code, with a number each. One attack a file; `registry` names them."""
