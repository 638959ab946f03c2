// SPDX-License-Identifier: GPL-3.0-or-later
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Bookmarks } from '../src/bookmarks.js';

describe('Bookmarks', () => {
  it('lists the newest first', () => {
    const bookmarks = new Bookmarks();
    bookmarks.add({ url: 'https://one.example' });
    bookmarks.add({ url: 'https://two.example' });
    assert.deepEqual(
      bookmarks.list().map(({ url }) => url),
      ['https://two.example/', 'https://one.example/'],
    );
  });

  it('keeps each address once, however it is written', () => {
    const bookmarks = new Bookmarks();
    const first = bookmarks.add({ url: 'https://one.example' });
    const second = bookmarks.add({ url: 'HTTPS://one.example/' });
    assert.equal(second.created, false);
    assert.equal(second.bookmark.id, first.bookmark.id);
  });

  it('sorts tags and drops the double ones', () => {
    const { bookmark } = new Bookmarks().add({ url: 'https://one.example', tags: ['b', 'a', 'b'] });
    assert.deepEqual(bookmark.tags, ['a', 'b']);
  });

  it('refuses what is no address', () => {
    assert.throws(() => new Bookmarks().add({ url: 'not an address' }), /Invalid URL/);
  });
});
