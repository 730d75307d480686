// Undo and Redo. What they do is in history.js; Gradio is told {setup, run, why, ticket}, and answers
// {well, ticket}: whether the page shows that now.
const [undo, redo] = ['.undo', '.redo'].map((s) => element.querySelector(s));
undo.addEventListener('click', () => playground.past.undo());
redo.addEventListener('click', () => playground.past.redo());
playground.past.attach(
  (able) => {
    undo.disabled = !able.undo;
    redo.disabled = !able.redo;
  },
  (same, asked) => (same ? trigger('revise', asked) : trigger('restore', asked)),
);
watch('value', () => props.value && playground.past.answered(props.value));
