// SPDX-License-Identifier: GPL-3.0-or-later
import Fastify from 'fastify';
import { Bookmarks } from './bookmarks.js';

const bookmark = {
  type: 'object',
  required: ['url'],
  additionalProperties: false,
  properties: {
    url: { type: 'string', format: 'uri', pattern: '^https?://', maxLength: 2048 },
    title: { type: 'string', maxLength: 200 },
    tags: { type: 'array', maxItems: 16, items: { type: 'string', pattern: '^[a-z0-9-]{1,32}$' } },
  },
};

/** The API without a listening socket, so that tests can inject requests. */
export function createApp({ bookmarks = new Bookmarks(), logger = false } = {}) {
  const app = Fastify({ logger });

  app.get('/healthz', async () => ({ status: 'ok' }));

  app.get('/bookmarks', async (request) => bookmarks.list({ tag: request.query.tag }));

  app.post('/bookmarks', { schema: { body: bookmark } }, async (request, reply) => {
    const result = bookmarks.add(request.body);
    reply.code(result.created ? 201 : 200);
    return result.bookmark;
  });

  app.get('/bookmarks/:id', async (request, reply) => {
    const found = bookmarks.get(request.params.id);
    return found ?? reply.code(404).send({ error: 'no such bookmark' });
  });

  app.delete('/bookmarks/:id', async (request, reply) => {
    return reply.code(bookmarks.remove(request.params.id) ? 204 : 404).send();
  });

  return app;
}
