/** The page of a job: follows it, appends to its log, and shows the result when it is there. */

import { showCopyButtons } from "./copy.js";
import { follow } from "./follow.js";

const shown = document.getElementById("job");

showCopyButtons(shown);
if (shown.dataset.events) {
  await follow(shown.dataset, { status: showStatus, log: appender() }).catch(() => null);
  await showNow();
}

/** Return a function that appends a line to the log, passing over those that the page came with. */
function appender() {
  const log = document.getElementById("log");
  let known = Number(log?.dataset.lines ?? 0);
  return (line) => {
    if (!log || known-- > 0) return;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const item = document.createElement("li");
    item.textContent = line;
    log.append(item);
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
}

/** Take the page over as the server shows it now. Where the job is gone, that is the page to see. */
async function showNow() {
  const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
  if (!answer?.ok) {
    location.reload();
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("job");
  document.title = page.title;
  document.getElementById("job").replaceWith(fresh);
  showCopyButtons(fresh);
  document.getElementById("announcement").textContent =
    fresh.querySelector("[data-announcement]")?.textContent ?? "";
}

async function showStatus(status) {
  if (status === "running" && shown.dataset.status === "queued") {
    const badge = shown.querySelector(".job__header .status");
    badge.className = "status status--running";
    badge.textContent = status;
  }
}
