// The position of the inspector, which the style sheets read from data-dock of #page:
//   side    beside the columns, as high as the window
//   fits    below the columns, in the room that they leave of the window
//   raised  at the bottom of the window, over columns that are scrolled out from under it
//   rest    below the columns, as high as its content, out of sight where they fill the window
// It is raised when a token is inspected (document event 'playground:pick', detail: its element), and
// goes back to rest by Escape, by its button, or where a step's controls need the room.
// It also sets --pg-dock, its size, and --pg-room, the height of each column's text beyond the least.
const [sizer, aside, lower] = ['.sizer', '.aside', '.lower'].map((s) => element.querySelector(s));
const page = element.closest('#page');
const inspector = element.closest('#inspector');
const WIDE = 1600; // from here on it stands at the side, unless a person put it elsewhere
const NARROW = 1100; // below it there is no side
const LEAST = 190; // of its height: below that a chart is not worth its frame
const GAP = 10;
const known = JSON.parse(playground.remember('playground-dock') || '{}');
let raised = false;
let tokens = 48; // the requested length of the texts on the page
let room = 0;
let size = 0;

const clamp = (least, value, most) => Math.max(least, Math.min(value, most));
const lanes = () => [...document.querySelectorAll('#columns > .lane')].filter((lane) => lane.clientHeight);
const body = (lane) => lane.querySelector('.strip .body');
const sided = () => innerWidth >= NARROW && (known.side ?? innerWidth >= WIDE);

// The height of a text of `tokens` tokens in a column, with the note below it.
function wanted(lane) {
  const text = lane.querySelector('.strip .text');
  const style = getComputedStyle(text);
  const letter = 0.47 * parseFloat(style.fontSize);
  const lines = Math.ceil((5.2 * tokens * letter) / (text.clientWidth - 8)) + 1;
  return lines * parseFloat(style.lineHeight) + 10 * letter;
}

function arrange() {
  const shown = lanes();
  if (!shown.length || !shown.every(body)) return put('rest');
  const side = sided();
  if (side !== (page.dataset.dock === 'side')) put(side ? 'side' : 'rest'); // before it is measured
  const columns = document.querySelector('#columns');
  const opened = columns.querySelector(':scope > .lane.opened');
  const rows = new Set(shown.map((lane) => lane.offsetTop)).size;
  const top = columns.getBoundingClientRect().top + scrollY;
  const spare = innerHeight - top - (columns.offsetHeight - rows * room) - GAP;
  const want = Math.max(...shown.map((lane) => wanted(lane) - (body(lane).offsetHeight - room)));
  const text = (left) => Math.floor(clamp(0, left / rows, Math.max(0, want)));
  if (side) {
    if (!opened) room = Math.max(0, Math.floor(spare / rows));
    size = clamp(360, known.width ?? 0.3 * innerWidth, 0.6 * innerWidth);
    inspector.style.setProperty('--pg-height', `${Math.max(LEAST, innerHeight - top - GAP)}px`);
    return put('side');
  }
  const left = spare - GAP;
  if (!opened && left >= (known.height ?? LEAST)) {
    room = known.height ? Math.floor((left - known.height) / rows) : text(left - 0.36 * innerHeight);
    size = left - rows * room;
    return put('fits');
  }
  if (!opened) room = 0;
  size = Math.round(clamp(140, known.height ?? Math.max(250, 0.44 * innerHeight), 0.8 * innerHeight));
  put(raised && !opened ? 'raised' : 'rest');
}

function put(dock) {
  // Only what changed: a browser recomputes the style of every token on the page for it.
  if (page.dataset.dock !== dock) page.dataset.dock = dock;
  for (const [name, value] of [['--pg-dock', Math.round(size)], ['--pg-room', room]]) {
    const told = `${value}px`;
    if (page.style.getPropertyValue(name) !== told) page.style.setProperty(name, told);
  }
  const width = inspector.clientWidth; // of which its head takes one line, two, or three
  inspector.dataset.lines = width > 1560 ? 1 : width > 940 ? 2 : 3;
  const side = dock === 'side';
  // What a key brings into sight is not under it.
  document.documentElement.style.scrollPaddingBottom = dock === 'raised' ? `${size + GAP}px` : '';
  sizer.hidden = dock === 'rest';
  sizer.setAttribute('aria-orientation', side ? 'vertical' : 'horizontal');
  sizer.setAttribute('aria-valuenow', Math.round(size));
  sizer.setAttribute('aria-valuemin', side ? 360 : 140);
  sizer.setAttribute('aria-valuemax', Math.round(side ? 0.6 * innerWidth : 0.8 * innerHeight));
  lower.hidden = dock !== 'raised';
  aside.hidden = innerWidth < NARROW;
  aside.classList.toggle('below', side);
  aside.title = side ? 'Put it below the columns' : 'Put it beside the columns';
  aside.setAttribute('aria-label', aside.title.replace('it', 'the inspector'));
}

function keep(change) {
  Object.assign(known, change);
  playground.remember('playground-dock', JSON.stringify(known));
  arrange();
}
function resize(to) {
  if (page.dataset.dock === 'side') return keep({ width: Math.round(clamp(360, to, 0.6 * innerWidth)) });
  raised = true; // as high as a person wants it, over the columns if need be
  keep({ height: Math.round(clamp(140, to, 0.8 * innerHeight)) });
}

// The text that is explained, scrolled out from under what explains it.
function reveal(token) {
  const text = token.closest('.body').getBoundingClientRect();
  const at = token.getBoundingClientRect();
  const bottom = innerHeight - GAP - (page.dataset.dock === 'raised' ? size : 0);
  const by = at.top < GAP ? at.top - 3 * GAP : Math.min(text.bottom - bottom, at.top - 3 * GAP);
  if (at.top >= GAP && by <= 0) return;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  window.scrollBy({ top: by, behavior: calm ? 'instant' : 'smooth' });
}

let soon = 0;
function later() {
  cancelAnimationFrame(soon);
  soon = requestAnimationFrame(arrange);
}
new ResizeObserver(later).observe(page); // as high as all that stands above the inspector
window.addEventListener('resize', later);
document.addEventListener('playground:ran', ({ detail }) => {
  tokens = detail?.tokens ?? tokens;
  later();
});
document.addEventListener('playground:pick', ({ detail }) => {
  raised = true;
  arrange();
  reveal(detail);
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || page.dataset.dock !== 'raised' || event.defaultPrevented) return;
  raised = false;
  arrange();
});
lower.addEventListener('click', () => {
  raised = false;
  arrange();
});
aside.addEventListener('click', () => keep({ side: page.dataset.dock !== 'side' }));

sizer.addEventListener('pointerdown', (event) => {
  event.preventDefault();
  sizer.setPointerCapture(event.pointerId);
});
sizer.addEventListener('pointermove', (event) => {
  if (!sizer.hasPointerCapture(event.pointerId)) return;
  const { right, bottom } = inspector.getBoundingClientRect();
  resize(page.dataset.dock === 'side' ? right - event.clientX : bottom - event.clientY);
});
sizer.addEventListener('dblclick', () => {
  delete known[page.dataset.dock === 'side' ? 'width' : 'height'];
  keep({});
});
sizer.addEventListener('keydown', (event) => {
  const by = { ArrowUp: 24, ArrowLeft: 24, ArrowDown: -24, ArrowRight: -24 }[event.key];
  if (!by) return;
  event.preventDefault();
  resize(size + by);
});
arrange();
