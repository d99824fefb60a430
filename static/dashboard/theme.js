// Runs before the page is painted: dark or light by preference, unless the reader has chosen.
const chosen = localStorage.getItem("theme");
if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
