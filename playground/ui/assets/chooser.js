// The choices of next token in a column: draw(value, run) after playground.chooser(box, tell).
// value: {title, rest, undo, choices: [[id, text, probability, percent, name], …]} or null; text
// enters the page by textContent alone. tell(id) is called for a choice, tell(null) for Undo.
window.playground.chooser = (box, tell) => {
  const [title, rest, list, undo] = ['.title', '.rest', '.choices', '.undo'].map((s) =>
    box.querySelector(s));
  const ROWS = 5; // the choices stand in two columns of so many
  const MOST = 64; // keys in the queue
  const queue = [];
  let stale = false; // whether one of the shown choices was taken
  let [asks, live] = [0, 0]; // choices made, and those of them that were sent to the server
  let run = null; // the run of the shown choices
  let ids = [];
  let active = 0;

  // Made once and changed in place, so that bars move and the focus stays.
  function choice() {
    const made = document.createElement('button');
    made.type = 'button';
    for (const part of ['key', 'label', 'bar', 'percent']) {
      const child = document.createElement('span');
      child.className = part;
      made.append(child);
    }
    made.querySelector('.bar').append(document.createElement('i'));
    return made;
  }

  function roving(index) {
    active = Math.max(0, Math.min(index, ids.length - 1));
    for (const [i, button] of [...list.children].entries()) button.tabIndex = i === active ? 0 : -1;
  }

  // A key means a position in the list, also in the next list: keys that are pressed early are queued
  // until it is there. A click means the token under the pointer, so it is never queued.
  function choose(index) {
    if (stale) return;
    [stale, asks] = [true, asks + 1];
    mark(index ?? -1);
    tell(index === null ? null : ids[index]);
  }
  function press(index) {
    if (!stale) choose(index);
    else if (queue.length < MOST) queue.push(index);
  }
  function next() {
    if (stale || !queue.length) return;
    const index = queue.shift();
    if (index === null ? undo.disabled : index >= ids.length) queue.length = 0; // no such choice
    else choose(index);
  }
  document.addEventListener('playground:asked', () => { live = asks; });
  document.addEventListener('playground:answered', () => {
    const answered = live;
    setTimeout(() => { // no new choices came: the request failed, and its sentence is shown
      if (!stale || asks !== answered) return;
      stale = false;
      queue.length = 0;
      mark(-1);
    }, 400);
  });

  function mark(index) { // at once, before the response arrives
    for (const [i, button] of [...list.children].entries())
      button.classList.toggle('chosen', i === index);
  }

  function focus(index) {
    roving(index);
    (list.children[active] ?? undo).focus({ preventScroll: true });
  }

  function draw(value, from) {
    if (from !== run) [run, stale] = [from, false];
    const inside = box.contains(document.activeElement);
    box.hidden = !value;
    const { title: said = '', rest: of = '', undo: able = false, choices = [] } = value ?? {};
    title.textContent = said;
    rest.textContent = of;
    undo.disabled = !able;
    ids = choices.map(([id]) => id);
    while (list.children.length > choices.length) list.lastChild.remove();
    while (list.children.length < choices.length) list.append(choice());
    const top = Math.max(...choices.map(([, , probability]) => probability), 1e-9);
    choices.forEach(([, text, probability, percent, name], i) => {
      const button = list.children[i];
      const [key, label, bar, number] = button.children;
      key.textContent = i < 9 ? i + 1 : '';
      label.textContent = text;
      bar.firstChild.style.width = `${(100 * probability) / top}%`;
      number.textContent = percent;
      button.setAttribute('aria-label', `Choose ${name}`);
      button.title = name;
      if (i < 9) button.setAttribute('aria-keyshortcuts', i + 1);
    });
    if (!stale) mark(-1);
    roving(0);
    setTimeout(next);
    if (!inside || !value) return;
    if (ids.length) focus(0);
    else if (able) undo.focus({ preventScroll: true });
    else box.focus({ preventScroll: true });
  }

  list.addEventListener('click', (event) => {
    const at = [...list.children].indexOf(event.target.closest('button'));
    if (at < 0 || event.detail > 1) return; // the second click of a double click
    list.children[at].focus({ preventScroll: true });
    if (event.detail) choose(at);
    else press(at);
  });
  undo.addEventListener('click', (event) => (event.detail ? choose(null) : press(null)));
  box.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key === 'Enter') return;
    const moves = { ArrowDown: 1, ArrowUp: -1, ArrowRight: ROWS, ArrowLeft: -ROWS };
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
    const to = event.key === 'Home' ? 0 : event.key === 'End' ? ids.length - 1
      : event.key in moves ? active + moves[event.key] : -1;
    if (event.key === 'Backspace') {
      if ((stale || !undo.disabled) && !event.repeat) press(null);
    } else if (digit >= 0 && digit < ids.length) {
      if (!event.repeat) press(digit);
    } else if (event.key in moves || event.key === 'Home' || event.key === 'End') {
      if (to >= 0 && to < ids.length) focus(to);
    } else return;
    event.preventDefault();
  });
  return draw;
};

// A choice waits for the page's run and for the choice before it: between their last frame and their
// end, Gradio drops a further event. Of several that wait, only the last is sent.
{
  let busy = false;
  let waiting = null;
  Object.assign(window.playground, {
    // `act` returns whether it sent an event; the end of that calls answered().
    inTurn(act) {
      clearTimeout(waiting);
      if (busy || window.playground.turns.busy || document.querySelector('#run').disabled)
        waiting = setTimeout(window.playground.inTurn, 30, act);
      else {
        busy = act();
        document.dispatchEvent(new Event(busy ? 'playground:asked' : 'playground:answered'));
      }
    },
    answered() {
      busy = false;
      document.dispatchEvent(new Event('playground:answered'));
    },
  });
}
