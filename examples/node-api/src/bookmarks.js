// SPDX-License-Identifier: GPL-3.0-or-later
import { nanoid } from 'nanoid';

/** Bookmarks in memory, newest first, each address kept once. */
export class Bookmarks {
  #byId = new Map();

  add({ url, title = '', tags = [] }) {
    const address = new URL(url).href;
    for (const known of this.#byId.values()) {
      if (known.url === address) {
        return { bookmark: known, created: false };
      }
    }
    const bookmark = { id: nanoid(10), url: address, title, tags: [...new Set(tags)].sort() };
    this.#byId.set(bookmark.id, bookmark);
    return { bookmark, created: true };
  }

  get(id) {
    return this.#byId.get(id);
  }

  remove(id) {
    return this.#byId.delete(id);
  }

  list({ tag } = {}) {
    const all = [...this.#byId.values()].reverse();
    return tag === undefined ? all : all.filter((bookmark) => bookmark.tags.includes(tag));
  }
}
