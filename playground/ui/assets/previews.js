// Requests the previews of all columns that show one: one request at a time, and then the latest
// alone. value: the set-up of the run on the page, as playground.ran takes it.
const TYPING = 300; // milliseconds without a key before a prompt is worth reading
const MOVING = 40; // milliseconds between two requests while a slider moves
const REST = 1000; // milliseconds after which an unknown preview is requested again: a run may know it now
let timer = null;
let later = null;
let flying = false;
let patience = 0;
let prompt = null; // of the last request
let known = { key: null, answer: null, open: false, when: 0 };

function question() {
  const lanes = [...document.querySelectorAll('#columns > .lane.previewing[data-lane]')];
  const setup = playground.setup();
  if (!lanes.length || !setup) return null;
  const { model, prompt, chat, split, seed, least, tokens } = setup;
  const recipes = Object.fromEntries(lanes.map(({ dataset }) => [dataset.lane, dataset.written]));
  return { model, prompt, chat, split, seed, least, tokens, recipes };
}

const tell = (detail) =>
  document.dispatchEvent(new CustomEvent('playground:preview', { detail }));

function changed() {
  if (!element.isConnected) return document.removeEventListener('playground:setup', changed);
  const asked = question();
  if (!asked) return;
  if (JSON.stringify(asked) === known.key) {
    if (known.open) later ??= setTimeout(() => { later = null; ask(); }, Math.max(MOVING, known.when + REST - Date.now()));
    return tell(known.answer);
  }
  if (!asked.prompt) return tell({ fault: 'The prompt is empty.' });
  tell();
  const typed = asked.prompt !== prompt;
  if (timer !== null && !typed) return;
  prompt = asked.prompt;
  patience = 0;
  clearTimeout(timer);
  timer = setTimeout(ask, typed ? TYPING : MOVING);
}

async function ask() {
  timer = null;
  const asked = question();
  if (flying || !asked?.prompt) return; // the response that is on its way requests again
  const key = JSON.stringify(asked);
  flying = true;
  // Where a request fails, Gradio logs why, and there is no response.
  const answer = (await server.preview(asked)) ?? { fault: 'The server did not answer.' };
  flying = false;
  if (JSON.stringify(question()) !== key) return changed();
  tell(answer);
  if (!answer.wait) {
    const open = Object.values(answer.columns ?? {}).some(({ note, refused }) => note && !refused);
    known = { key, answer, open, when: Date.now() };
    return;
  }
  patience = Math.min(2000, 80 + 1.5 * patience);
  timer ??= setTimeout(ask, patience);
}

document.addEventListener('playground:setup', changed);
watch('value', () => playground.ran(props.value));
playground.ran(props.value);
