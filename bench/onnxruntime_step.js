// One inference measurement of a model file with ONNX Runtime, printed as a line of JSON:
//   node onnxruntime_step.js MODEL.onnx [--batch N] [--threads N] [--steps N] [--size S]
// Wants the package onnxruntime-node where node looks for modules (NODE_PATH).
'use strict';
const ort = require('onnxruntime-node');

const options = {batch: 1, threads: 2, steps: 20, size: 224};
const file = process.argv[2];
for (let i = 3; i + 1 < process.argv.length; i += 2)
  options[process.argv[i].replace(/^--/, '')] = Number(process.argv[i + 1]);

async function main() {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  const count = options.batch * 3 * options.size * options.size;
  const pixels = Float32Array.from({length: count}, (_, i) => Math.sin(i));
  const images = new ort.Tensor('float32', pixels, [options.batch, 3, options.size, options.size]);
  const times = [];
  for (let i = 0; i < options.steps + 3; ++i) {
    const start = process.hrtime.bigint();
    await session.run({[session.inputNames[0]]: images});
    if (i >= 3) times.push(Number(process.hrtime.bigint() - start) / 1e9);
  }
  times.sort((a, b) => a - b);
  const seconds = times[Math.floor(times.length / 2)];
  console.log(JSON.stringify({
    images_per_second: options.batch / seconds,
    ms_per_step: seconds * 1e3,
    peak_rss_mib: process.resourceUsage().maxRSS / 1024,
  }));
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
