// Helpers to make elements. playground.part('button', {type: 'button'}, 'Copy') is a node with these properties, or
// with this class where a string stands for them, and with these children, nodes or text.
// playground.counted(1200, 'token') is '1,200 tokens'; playground.percent(0.05) is '5.0 %'.
window.playground.part = (name, given = {}, ...inside) => {
  const made = Object.assign(document.createElement(name), typeof given === 'string' ? { className: given } : given);
  made.append(...inside);
  return made;
};
window.playground.counted = (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
window.playground.percent = (p) =>
  `${p >= 0.0995 ? (100 * p).toFixed(0) : p >= 0.001 ? (100 * p).toFixed(1) : (100 * p).toPrecision(1)} %`;
