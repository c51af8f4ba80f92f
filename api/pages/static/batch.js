/** Sending many photographs, and whole folders, as one batch. */

import { number } from "./format.js";
import { Problem, sentence } from "./follow.js";

const MOST_FILES = 50; // of one request
const MOST_BYTES = 8 * 1024 * 1024; // of one request, unless a single file has more

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
    headers: { "Content-Type": "application/json" },
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
      await ask(new URL("images", batch), { body: part });
      sent += count;
    }
    return await ask(new URL("seal", batch), {});
  } catch (error) {
    await fetch(new URL(`v1/jobs/${job.id}`, home), { method: "DELETE" }).catch(() => null);
    throw error;
  }
}

async function ask(url, options) {
  const headers = { Accept: "application/json", ...options.headers };
  const answer = await fetch(url, { ...options, method: "POST", headers }).catch(() => null);
  if (!answer) {
    throw new Problem("A file could not be read, or the server did not answer. Check both, then try again.");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok || !body) throw new Problem(sentence(answer.status, body));
  return body;
}
