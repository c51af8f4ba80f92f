/** Buttons that copy the field, or the text, which `data-copies` names. They show only where a script runs. */

const SHOWN_MS = 2000; // how long a button says that it has copied

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copies]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(field.value ?? field.textContent);
  } catch {
    // Browsers give the clipboard to secure origins only; the old way still works elsewhere.
    if (field.select) field.select();
    else getSelection().selectAllChildren(field);
    if (!document.execCommand("copy")) return; // selected, it can be copied by hand
    button.focus();
  }
  const before = button.dataset.says ?? button.textContent;
  button.dataset.says = before;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), SHOWN_MS);
});

/** Show the copy buttons below `root`. */
export function showCopyButtons(root) {
  for (const button of root.querySelectorAll("button[data-copies]")) button.hidden = false;
}
