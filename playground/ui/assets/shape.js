// A node of a drawing: playground.shape('rect', {x: 4, …}, ...children, as nodes or as text).
window.playground.shape = (name, given, ...inside) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
};
