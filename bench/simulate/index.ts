/**
 * `npm run simulate`: every strategy against the same messages and the same providers, two at a time; a table on the terminal, and
 * with the plots in docs/simulation/. `--seed`, `--messages` for another run, `--strategies package,random` for some of them; then
 * nothing is written.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { packageRoot } from '../../lib/settings/package-root';
import { charts } from './charts';
import type { Outcome } from './measures';
import { asDocument, forTerminal } from './report';
import { run, STRATEGIES, type Plan, type StrategyName } from './run';

const THREADS = 2;

async function main(): Promise<void> {
    const { values } = parseArgs({ options: { messages: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' }, strategies: { type: 'string', default: '' } } });
    const plan: Plan = { seed: Number(values.seed), messages: Number(values.messages), addresses: 512, hours: 96 };
    const chosen = values.strategies.split(',');
    const names = (Object.keys(STRATEGIES) as StrategyName[]).filter(name => values.strategies === '' || chosen.includes(name));
    const began = performance.now();
    const outcomes = await inPairs(names, plan);
    console.log(forTerminal(outcomes));
    console.log(`seed ${plan.seed}, ${plan.messages} messages, ${((performance.now() - began) / 1000).toFixed(0)} s`);
    if (values.strategies === '') {
        const folder = join(packageRoot(), 'docs/simulation');
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, 'README.md'), asDocument(outcomes, plan));
        Object.entries(charts(outcomes)).forEach(([file, svg]) => writeFileSync(join(folder, file), `${svg}\n`));
        console.log(`written to ${folder}`);
    }
}

/** What takes the longest begins first. */
const LONGEST: StrategyName = 'random';
/** Nearly all that is allocated is gone after one attempt: with room for the young less of it is carried along. */
const YOUNG_MIB = 256;

/** In the order of the names, whichever is ready first. */
async function inPairs(names: readonly StrategyName[], plan: Plan): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    const waiting = [...names.entries()].sort(([, a], [, b]) => Number(b === LONGEST) - Number(a === LONGEST));
    const work = async () => {
        for (let next = waiting.shift(); next; next = waiting.shift()) {
            const [place, name] = next;
            outcomes[place] = await inThread(name, plan);
        }
    };
    await Promise.all(Array.from({ length: THREADS }, work));
    return outcomes;
}

function inThread(name: StrategyName, plan: Plan): Promise<Outcome> {
    return new Promise((resolve, reject) => {
        new Worker(__filename, { workerData: { name, plan }, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB, maxOldGenerationSizeMb: 4096 } }).once('message', resolve).once('error', reject);
    });
}

if (isMainThread) {
    void main();
} else {
    // nobody reads the stack of a million held deliveries
    Error.stackTraceLimit = 0;
    const { name, plan } = workerData as { name: StrategyName; plan: Plan };
    void run(name, plan).then(outcome => parentPort?.postMessage(outcome));
}
