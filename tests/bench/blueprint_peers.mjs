// SPDX-License-Identifier: GPL-3.0-or-later
// Times three detectors, each in one warm process: node blueprint_peers.mjs PEER RUNS < directories, one a line.
// Prints one line a directory: the milliseconds of each run.
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

const [, , peer, runs] = process.argv

async function detector() {
  if (peer === '@specfy/stack-analyser') {
    const { analyser, FSProvider } = await import('@specfy/stack-analyser')
    await import('@specfy/stack-analyser/dist/autoload.js')
    return (path) => analyser({ provider: new FSProvider({ path }) })
  }
  if (peer === '@netlify/build-info') {
    const { getBuildInfo } = await import('@netlify/build-info/node')
    return (path) => getBuildInfo({ projectDir: path, rootDir: path, featureFlags: {} })
  }
  const linguist = (await import('linguist-js')).default
  return (path) => linguist(path, { offline: true, quick: true })
}

const detect = await detector()
const times = []
for (const path of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const mine = []
  for (let run = 0; run <= Number(runs); run += 1) {
    const begun = performance.now()
    try {
      await detect(path)
    } catch {
      // A project that a peer cannot read costs it the time until it gives up.
    }
    if (run > 0 || Number(runs) === 0) mine.push(performance.now() - begun)
  }
  times.push(mine)
}
process.stdout.write(JSON.stringify(times) + '\n')
