// Light, dark, or as the system wishes. Runs before the first paint, hence no module.
(() => {
  const KEY = "frag.theme";
  const ORDER = ["system", "light", "dark"];
  const read = () => {
    try { return ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "system"; }
    catch { return "system"; }
  };
  const apply = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  apply(read());
  window.fragTheme = {
    current: read,
    next() {
      const theme = ORDER[(ORDER.indexOf(read()) + 1) % ORDER.length];
      try { localStorage.setItem(KEY, theme); } catch { /* private windows keep nothing */ }
      apply(theme);
      return theme;
    },
  };
})();
