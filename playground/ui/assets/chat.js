// The chat template's switch. Until a person sets it, it follows the prompt: on for one that was typed,
// off for an example, for a link's prompt, and for what still begins or ends like one of these.
// In the address chat=1 and chat=0 are a person's choice, and chat=typed is on for a typed prompt.
window.playground.chat = (() => {
  const SHARED = 16; // characters at an end by which a text is known for an edit of another
  const WHAT = 'The template puts the prompt into the form of a conversation, on which this model was ' +
    'trained. By itself it is on for a prompt that you type, and off for the examples and their ' +
    'edits, which are continued as text. Once you set it, it stays as you set it.';
  const asked = new URLSearchParams(playground.link.asked.slice(1));
  const linked = asked.get('chat');
  let chosen = linked && linked !== 'typed' ? 'as in the link' : ''; // where it does not follow
  let given = ''; // the prompt that nobody typed
  let typed = linked === 'typed' ? asked.get('prompt') : null;
  let packed = linked === 'typed' && typed === null; // the prompt is the one that the page opens with
  let off = asked.has('prompt') || asked.has('z') ? 'off, as in the link' : 'off for examples';
  let moving = false;

  const input = () => document.querySelector('#chat input');
  const prompt = () => document.querySelector('#prompt textarea');
  const edits = (text, of) => {
    const n = Math.min(SHARED, of.length);
    return n > 0 && (text.slice(0, n) === of.slice(0, n) || text.slice(-n) === of.slice(-n));
  };

  function set(on) {
    if (input().checked === on) return;
    moving = true;
    input().click();
    moving = false;
  }

  function tell(why) {
    const box = input().closest('#chat');
    box.dataset.why = why;
    box.title = WHAT;
    input().setAttribute('aria-description', `${why}. ${WHAT}`);
  }

  // Called for whatever changes: the switch may have come or gone with the model.
  function follow() {
    const text = prompt()?.value ?? '';
    if (text !== typed && text) {
      if (given && text !== given) off = 'off for examples';
      given = text;
    }
    if (!input()) return;
    if (!chosen && !packed && text) set(text === typed && !edits(text, given));
    tell(chosen || (input().checked ? 'on for a typed prompt' : off));
  }

  document.addEventListener('input', ({ target }) => {
    if (target !== prompt()) return;
    typed = target.value;
    follow();
  }, true);
  document.addEventListener('change', ({ target }) => {
    if (target !== input() || moving) return;
    chosen = 'as you set it';
    tell(chosen);
  }, true);

  return {
    follow,
    opened() {
      if (packed) typed = prompt().value;
      packed = false;
      follow();
    },
    // Undo brings a prompt back, with what was told of the switch then.
    restored(told, text) {
      chosen = told && told !== 'typed' ? 'as you set it' : '';
      if (told === 'typed') typed = text;
      else if (!told) [given, typed] = [text, null];
    },
    // What the address says of a switch that is on or off; nothing where it is off by itself.
    told: (on) => (chosen ? String(Number(on)) : on ? 'typed' : ''),
    // Switch it on and run again, once Gradio knows that it is on.
    use() {
      const known = () => playground.setup()?.chat && document.querySelector('#run:enabled');
      const run = () => (known() ? document.querySelector('#run').click() : setTimeout(run, 20));
      if (!input()) return;
      chosen = given = '';
      typed = prompt().value;
      follow();
      run();
    },
  };
})();
