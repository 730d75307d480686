// What a person does to the columns happens in the order in which it was done. Each act is sent once the
// page shows the answer to the one before: an answer draws columns as the server knew them, and would
// take back what it had not been told yet. Gradio calls over() at the end of each event of these.
window.playground.turns = (() => {
  const PATIENCE = 20_000; // milliseconds after which an answer is no longer waited for
  const STARTS = 1000; // of Run: a model that has to be loaded first holds nothing else up
  const BUTTONS = '#run, #clear, #add, .acts .act'; // of Gradio's, whose clicks take their turn, too
  const waiting = []; // {act, merge}
  const columns = new Map(); // by lane: {key, box, send}
  let sent = 0; // how many events were sent
  let busy = false;
  let timer = null;
  let replayed = null; // the button that is clicked because its turn has come

  function begin(patience = PATIENCE) {
    sent += 1;
    busy = true;
    clearTimeout(timer);
    timer = setTimeout(over, patience);
  }

  function next() {
    while (!busy && waiting.length) {
      begin();
      if (!waiting.shift().act()) busy = false;
    }
    if (!busy) clearTimeout(timer);
  }

  // The answer is in the components; the elements have drawn it a frame later. A control that was moved
  // meanwhile sends its last position in between, and is waited for as well.
  function over() {
    const last = sent;
    setTimeout(() => {
      if (sent !== last) return;
      busy = false;
      for (const lane of document.querySelectorAll('.lane.leaving')) lane.classList.remove('leaving');
      next();
    }, 20);
  }

  // `act` sends an event and returns true, or does not and returns false. Of acts that wait with the
  // same `merge`, one right after the other, the last counts.
  function take(act, merge = null) {
    if (merge && waiting.at(-1)?.merge === merge) waiting.pop();
    waiting.push({ act, merge });
    next();
  }

  document.addEventListener('click', (event) => {
    const button = event.target.closest?.(BUTTONS);
    if (!button || button.disabled) return;
    if (button === replayed) return;
    const patience = button.matches('#run') ? STARTS : PATIENCE;
    if (busy) {
      event.preventDefault();
      event.stopImmediatePropagation();
      take(() => {
        if (!button.isConnected || button.disabled) return false;
        begin(patience);
        replayed = button;
        button.click();
        replayed = null;
        return true;
      });
    } else begin(patience);
  }, true);

  return {
    take,
    over,
    get busy() { return busy; },
    // An event that Gradio sends at once: `given` is what it sends.
    sent(given) {
      begin();
      return given;
    },
    // The elements of the columns: by its key each is found wherever it stands when its turn comes.
    column(lane, column) { columns.set(lane, column); },
    send(key, event, data, merge = null) {
      take(() => {
        const found = [...columns.values()].find((c) => c.key === key && c.box.isConnected);
        if (!found) return false; // it was removed
        found.send(event, { ...data, key });
        return true;
      }, merge);
    },
  };
})();
