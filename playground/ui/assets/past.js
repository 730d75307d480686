// Undo and Redo: see history.js. The event's data is {setup, run, why, ticket}; the response is
// {well, ticket}, where `well` says whether the page shows that state now.
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
