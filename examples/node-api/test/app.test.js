// SPDX-License-Identifier: GPL-3.0-or-later
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createApp } from '../src/app.js';

describe('API', () => {
  let app;
  beforeEach(() => {
    app = createApp();
  });
  afterEach(() => app.close());

  const add = (payload) => app.inject({ method: 'POST', url: '/bookmarks', payload });

  it('is healthy', async () => {
    const reply = await app.inject('/healthz');
    assert.equal(reply.statusCode, 200);
    assert.deepEqual(reply.json(), { status: 'ok' });
  });

  it('creates, finds and removes a bookmark', async () => {
    const created = await add({ url: 'https://nodejs.org/docs', title: 'Docs', tags: ['node'] });
    assert.equal(created.statusCode, 201);
    const { id } = created.json();
    assert.equal((await app.inject(`/bookmarks/${id}`)).json().title, 'Docs');
    assert.equal((await app.inject({ method: 'DELETE', url: `/bookmarks/${id}` })).statusCode, 204);
    assert.equal((await app.inject(`/bookmarks/${id}`)).statusCode, 404);
  });

  it('answers 200, not 201, for an address that it knows', async () => {
    await add({ url: 'https://nodejs.org' });
    assert.equal((await add({ url: 'https://nodejs.org' })).statusCode, 200);
  });

  it('filters by tag', async () => {
    await add({ url: 'https://a.example', tags: ['x'] });
    await add({ url: 'https://b.example', tags: ['y'] });
    const reply = await app.inject('/bookmarks?tag=y');
    assert.deepEqual(
      reply.json().map(({ url }) => url),
      ['https://b.example/'],
    );
  });

  for (const [name, payload] of [
    ['no address', { title: 'x' }],
    ['a scheme that is not http', { url: 'javascript:alert(1)' }],
    ['a tag with spaces', { url: 'https://a.example', tags: ['two words'] }],
  ]) {
    it(`refuses ${name}`, async () => {
      assert.equal((await add(payload)).statusCode, 400);
    });
  }
});
