"""The coordinator's API described: OpenAPI 3.1 from the types and the route table, and a page that shows it offline."""
