/**
 * Prints how well the rules answer a corpus. Usage: score-cli [FILE]; exit 1 when the goal is missed.
 * Misses of the held-out third are counted, not shown: a rule written after reading them proves nothing.
 */

import { join } from 'node:path';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { GOAL, isHeldOut, readRows, score, type Score } from './score';

function line(name: string, result: Score): string {
    const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
    return [
        name.padEnd(10),
        `${String(result.rows).padStart(4)} rows`,
        `precision ${percent(result.precision)}`,
        `recall ${percent(result.recall)}`,
        `F1 ${percent(result.f1)}`,
        `class ${percent(result.accuracy)}`
    ].join('  ');
}

function main(file: string): number {
    const rules = loadRules([packageRulesDir()]);
    const rows = readRows(file);
    const whole = score(rows, rules);
    const working = score(rows.filter(row => !isHeldOut(row)), rules);
    const heldOut = score(rows.filter(isHeldOut), rules);
    process.stdout.write([line('whole', whole), line('working', working), line('held out', heldOut), ''].join('\n'));
    for (const miss of working.misses) {
        process.stdout.write(`${miss.row.label} read as ${miss.class} (${miss.rule}): ${miss.row.response}\n`);
    }
    process.stdout.write('\nlabel: class given (without the held-out third)\n');
    for (const [label, given] of [...working.confusion].sort(([a], [b]) => a.localeCompare(b))) {
        const cells = [...given].sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`);
        process.stdout.write(`${label}: ${cells.join(', ')}\n`);
    }
    return whole.precision >= GOAL.precision && whole.recall >= GOAL.recall ? 0 : 1;
}

process.exitCode = main(process.argv[2] ?? join(packageRulesDir(), '../../test/corpus/responses.dev.jsonl'));
