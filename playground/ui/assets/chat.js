// The chat template's switch. Until a person sets it, it follows the prompt: on for a typed one, off
// for an example, for a link's prompt, and for an edit that still begins or ends like one of these.
// In the address chat=1 and chat=0 are a person's choice; chat=typed is a switch that follows, and is on.
window.playground.chat = (() => {
  const SHARED = 16; // characters at either end that make a text an edit of another
  const WHAT = 'The template puts the prompt into the form of a conversation, on which this model was ' +
    'trained. By itself it is on for a prompt that you type, and off for the examples and their ' +
    'edits, which are continued as text. Once you set it, it stays as you set it.';
  const asked = new URLSearchParams(playground.link.asked.slice(1));
  const linked = asked.get('chat');
  let chosen = linked && linked !== 'typed' ? 'as in the link' : ''; // why it does not follow; '' if it does
  let given = ''; // the last prompt that was not typed
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

  // Called at any change of the page: the switch appears and disappears with the model.
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
    // Undo restores a prompt, with the state that the switch had for it.
    restored(told, text) {
      chosen = told && told !== 'typed' ? 'as you set it' : '';
      if (told === 'typed') typed = text;
      else if (!told) [given, typed] = [text, null];
    },
    // The value for the address; none where the switch is off by itself.
    told: (on) => (chosen ? String(Number(on)) : on ? 'typed' : ''),
    // Switch it on, and run again once Gradio has the new value.
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
