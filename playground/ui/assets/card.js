// The chart on an open step's card, from the preview of the next token: the step's input is thin and
// grey, its output filled, its threshold dashed. Text enters the page by textContent alone.
// Listens to 'playground:preview' {columns: {lane: {cards: {step: {given, left, texts, lines, told}}}}}.
// Constants: step (its number in the recipe), colours (of the columns, by number)
const [figure, picture, caption] = ['.drawing', 'svg', 'figcaption'].map((s) => element.querySelector(s));
const home = element.closest('.lane');
const [WIDTH, HEIGHT, ROOM] = [240, 60, 2];

const { shape } = playground;
function part(name, attributes, title) {
  return shape(name, attributes, ...(title ? [shape('title', {}, title)] : []));
}

const percent = (p) => `${(100 * p).toPrecision(3).replace(/\.?0+$/, '')} %`;

function draw({ given, left, texts, lines, told }) {
  const top = Math.max(...given, ...left, 1e-9);
  const wide = WIDTH / Math.max(given.length, 1);
  const y = (p) => HEIGHT - ROOM - ((HEIGHT - 2 * ROOM) * p) / top;
  const bars = given.map((p, at) => part('rect', {
    class: left[at] > 0 ? 'left' : 'removed', x: at * wide + wide * 0.12, width: wide * 0.76,
    y: y(left[at] || p), height: Math.max(0.6, HEIGHT - ROOM - y(left[at] || p)),
  }, `${texts[at]}: ${percent(p)}, then ${left[at] ? percent(left[at]) : 'removed'}`));
  const points = given.map((p, at) => `${(at + 0.5) * wide},${y(p)}`).join(' ');
  const cuts = lines.map((line) => {
    const at = line.x ? { x1: line.x * wide, x2: line.x * wide, y1: 0, y2: HEIGHT }
      : { x1: 0, x2: WIDTH, y1: y(Math.min(line.y, top)), y2: y(Math.min(line.y, top)) };
    return part('line', { class: 'cut', ...at }, line.label);
  });
  picture.replaceChildren(...bars, part('polyline', { class: 'given', points }), ...cuts);
  picture.setAttribute('aria-label', `The next token before and after this step: ${told}`);
  caption.textContent = told;
}

function hear({ detail }) {
  if (!element.isConnected) return document.removeEventListener('playground:preview', hear);
  if (!detail) return; // a response is on its way
  const view = detail.columns?.[home.dataset.lane];
  const card = view?.cards?.[step];
  figure.hidden = !card && !view?.note;
  picture.style.display = card ? '' : 'none';
  if (card) draw(card);
  else caption.textContent = view?.note ?? '';
}
document.addEventListener('playground:preview', hear);
figure.style.setProperty('--colour', colours[home.dataset.lane]);
document.dispatchEvent(new CustomEvent('playground:setup'));
