// SPDX-License-Identifier: GPL-3.0-or-later
import { createApp } from './app.js';

// All addresses, because a container's port is published from its outer one, never from its loopback.
const { HOST = '0.0.0.0', PORT = '3000' } = process.env;
const app = createApp({ logger: true });

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => app.close());
}
await app.listen({ host: HOST, port: Number(PORT) });
