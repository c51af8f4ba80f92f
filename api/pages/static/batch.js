/** Sending many photographs, and whole folders, as one batch. */

import { number } from "./format.js";
import { Problem, sentence } from "./follow.js";

const MOST_FILES = 50; // of one request
const MOST_BYTES = 8 * 1024 * 1024; // of one request, unless a single file has more
const PASSING = new Set([429, 502, 503, 504]); // answers that say: not now
const MOST_TRIES = 12; // of one request: some two minutes
const LONGEST_PAUSE_MS = 15_000;

/**
 * Return the files of a drop, those in folders too, each with its path.
 *
 * To be called while the event is handled: afterwards a browser does not tell them any more.
 *
 * @param {DataTransfer} data
 * @returns {Promise<{file: File, path: string}[]>}
 */
export async function droppedFiles(data) {
  const found = [...data.items]
    .filter((item) => item.kind === "file")
    .map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const files = [];
  for (const [entry, file] of found) {
    if (entry?.isDirectory) await walk(entry, files);
    else if (file) files.push({ file, path: file.name });
  }
  return files;
}

async function walk(folder, files) {
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => {
      throw new Problem(`The folder ${folder.name} cannot be read.`);
    });
    if (!entries.length) return; // a reader gives a hundred at a time
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory) await walk(entry, files);
      else {
        const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => {
          throw new Problem(`The file ${entry.name} cannot be read.`);
        });
        files.push({ file, path: entry.fullPath.replace(/^\//, "") });
      }
    }
  }
}

/**
 * Send files as one batch and return its job. A batch that cannot be sent to its end is cancelled.
 *
 * @param {{file: File, path: string}[]} files
 * @param {{home: string, model: string, top: string}} options - `home`: the address of the first page
 * @param {(words: string) => void} say - told how far it is
 * @throws {Problem} where the server refuses it, or does not answer
 */
export async function sendBatch(files, { home, model, top }, say) {
  const job = await ask(new URL("v1/batches", home), {
    headers: { "Content-Type": "application/json", "Idempotency-Key": newKey() },
    body: JSON.stringify({ open: true, model, top: Number(top) }),
  });
  const batch = new URL(`v1/batches/${job.id}/`, home);
  try {
    for (let sent = 0; sent < files.length; ) {
      say(`Sending ${number(sent)} of ${number(files.length)} files…`);
      const part = new FormData();
      let bytes = 0;
      let count = 0;
      for (const { file, path } of files.slice(sent, sent + MOST_FILES)) {
        if (count && bytes + file.size > MOST_BYTES) break;
        part.append("images", file, path);
        bytes += file.size;
        count += 1;
      }
      await ask(new URL("images", batch), { body: part }, { say, files: files.slice(sent, sent + count) });
      sent += count;
    }
    return await ask(new URL("seal", batch), {}, { say });
  } catch (error) {
    await fetch(new URL(`v1/jobs/${job.id}`, home), { method: "DELETE" }).catch(() => null);
    throw error;
  }
}

/** Post to the server and return its answer; where it is busy or away, again for some minutes. */
async function ask(url, options, { say = () => {}, files = [] } = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  for (let pause = 1000, tries = 1; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS), tries += 1) {
    const answer = await fetch(url, { ...options, method: "POST", headers }).catch(() => null);
    const body = (await answer?.json().catch(() => null)) ?? null;
    if (answer?.ok && body) return body;
    if (!answer) await checkReadable(files); // which no repetition would mend
    if (answer && !PASSING.has(answer.status)) throw new Problem(sentence(answer.status, body));
    if (tries === MOST_TRIES) {
      throw new Problem(answer ? sentence(answer.status, body) : "The server did not answer. Try again later.");
    }
    const asked = 1000 * Number(answer?.headers.get("Retry-After") ?? 0);
    say(answer ? "The server is busy. Going on in a moment…" : "The server does not answer. Trying again…");
    await new Promise((resolve) => setTimeout(resolve, Math.max(pause, asked || 0)));
  }
}

async function checkReadable(files) {
  for (const { file, path } of files) {
    await file.arrayBuffer().catch(() => {
      throw new Problem(`The file ${path} cannot be read. Has it changed meanwhile?`);
    });
  }
}

/** Return a key by which the server knows a repetition; crypto.randomUUID is for https only. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
