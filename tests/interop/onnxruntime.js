// Runs the files that `EXCITON_ONNX_DIR=DIR test_interop --gtest_filter='*Onnx*'` left in DIR with ONNX
// Runtime, and compares.
//   npm i --ignore-scripts onnxruntime-node && node tests/interop/onnxruntime.js DIR [GOLDEN.json]
// With GOLDEN.json the outputs of the single nodes are written there: tests/interop/onnx_golden.json.
const fs = require("fs");
const path = require("path");
const ort = require(require.resolve("onnxruntime-node", { paths: [process.cwd(), __dirname] }));

async function main(dir, golden) {
  const outputs = {};
  let worst = 0, count = 0, failed = 0;
  for (const file of fs.readdirSync(dir).filter((f) => f.endsWith(".onnx")).sort()) {
    const name = file.slice(0, -5);
    const { shape, input, expected } = JSON.parse(fs.readFileSync(path.join(dir, name + ".json")));
    const session = await ort.InferenceSession.create(path.join(dir, file), { logSeverityLevel: 3 });
    const run = async (values, batch) => {
      const x = new ort.Tensor("float32", Float32Array.from(values), [batch, ...shape.slice(1)]);
      return Array.from((await session.run({ input: x })).logits.data);
    };
    const own = await run(input, shape[0]);
    if (name.startsWith("node_")) outputs[name.slice(5)] = own;
    const largest = Math.max(1, ...expected.map(Math.abs));
    let difference = Math.max(...own.map((v, i) => Math.abs(v - expected[i])));
    // Other numbers of images: one, and five.
    if (name.startsWith("net_")) {
      const one = input.slice(0, input.length / shape[0]);
      const single = await run(one, 1), five = await run([...one, ...one, ...one, ...one, ...one], 5);
      single.forEach((v, i) => (difference = Math.max(difference, Math.abs(v - own[i]), Math.abs(v - five[4 * single.length + i]))));
    }
    const relative = difference / largest;
    worst = Math.max(worst, relative);
    ++count;
    if (!(relative <= 1e-4)) {
      ++failed;
      console.log(`${name}: differs by ${difference}, largest ${largest}`);
    }
  }
  if (golden) fs.writeFileSync(golden, JSON.stringify(outputs) + "\n");
  console.log(`${count} files, ${failed} differ; the largest relative difference is ${worst.toExponential(2)}`);
  process.exit(failed ? 1 : 0);
}

main(process.argv[2], process.argv[3]);
