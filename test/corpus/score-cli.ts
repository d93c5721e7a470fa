/**
 * Prints how well the rules answer a corpus. Usage: score-cli [FILE...]; exit 1 when the goal is missed.
 * Misses of the held-out third are counted, not shown: a rule written after reading them proves nothing.
 * Without a file: the corpus that the goal is set on, and below it, in short, the batches gathered later.
 */

import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import type { RuleSet } from '../../lib/responses/rule-set';
import { costs, GOAL, readRows, score, withoutProviders, type Miss, type Row, type Score } from './score';

const CORPUS = join(packageRulesDir(), '../../test/corpus');

const percent = (share: number): string => `${(share * 100).toFixed(2).padStart(6)} %`;

function print(...lines: string[]): void {
    process.stdout.write(`${lines.join('\n')}\n`);
}

function line(name: string, { rows, precision, recall, f1, accuracy }: Score): string {
    return `${name.padEnd(16)} ${String(rows).padStart(4)} rows  precision ${percent(precision)}  recall ${percent(recall)}  F1 ${percent(f1)}  class ${percent(accuracy)}`;
}

function describe({ row, class: found, rule }: Miss): string {
    return `  ${row.label} read as ${found} (${rule}): ${row.response}`;
}

function printCosts(rows: readonly Row[], rules: RuleSet): boolean {
    const { precision, recall, f1, relayed, rotated, bounced } = costs(rows, rules);
    print('', `next step elsewhere?        precision ${percent(precision)}  recall ${percent(recall)}  F1 ${percent(f1)}`);
    for (const [name, misses] of [['message, sender or recipient to the relay', relayed], ['greylist rotated', rotated], ['refusal of the address bounced', bounced]] as const) {
        print(`${name}: ${misses.length}`, ...misses.filter(miss => !miss.row.heldOut).map(describe));
    }
    const forbidden = relayed.filter(({ row }) => ['content', 'auth', 'recipient'].includes(row.label));
    return forbidden.length === 0;
}

function printConfusion(result: Score): void {
    print('', 'label: class given');
    for (const [label, given] of [...result.confusion].sort(([a], [b]) => a.localeCompare(b))) {
        const cells = [...given].sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`);
        print(`  ${label}: ${cells.join(', ')}`);
    }
}

/** A provider whose rules we do not have yet: what do the general rules get of its replies? */
function printProviders(rows: readonly Row[], rules: RuleSet): void {
    const general = withoutProviders(rules);
    const known = rows.filter(row => row.provider !== null);
    print('', 'without any provider rules', line('all providers', score(known, general)));
    for (const provider of [...new Set(known.map(row => row.provider ?? ''))].sort()) {
        print(line(`  ${provider}`, score(known.filter(row => row.provider === provider), general)));
    }
}

function judge(file: string, rules: RuleSet): boolean {
    const rows = readRows(file);
    const whole = score(rows, rules);
    const working = score(rows.filter(row => !row.heldOut), rules);
    print('', basename(file), line('whole', whole), line('working', working), line('held-out third', score(rows.filter(row => row.heldOut), rules)));
    print(...working.misses.map(describe));
    const harmless = printCosts(rows, rules);
    printConfusion(whole);
    printProviders(rows, rules);
    return harmless && whole.precision >= GOAL.precision && whole.recall >= GOAL.recall;
}

/** Replies gathered after the rules were written: the thirds held out of the later batches are the nearest to mail that nobody has seen. */
function printGathered(rules: RuleSet): void {
    const files = readdirSync(CORPUS).filter(name => name.startsWith('responses.gathered-')).sort();
    const batches = files.map(name => ({ name: basename(name, '.jsonl').replace('responses.', ''), rows: readRows(join(CORPUS, name)) }));
    const together = { name: 'together', rows: batches.flatMap(batch => batch.rows) };
    for (const [title, wanted] of [['working', (row: Row) => !row.heldOut], ['held-out third', (row: Row) => row.heldOut]] as const) {
        const some = [...batches, together].map(({ name, rows }) => ({ name, rows: rows.filter(wanted) })).filter(({ rows }) => rows.length > 0);
        if (some.length > 0) {
            print('', `gathered, ${title}`, ...some.map(({ name, rows }) => line(`  ${name}`, score(rows, rules))));
        }
    }
}

function main(files: readonly string[]): number {
    const rules = loadRules([packageRulesDir()]);
    if (files.length > 0) {
        return files.map(file => judge(file, rules)).every(reached => reached) ? 0 : 1;
    }
    const reached = judge(join(CORPUS, 'responses.dev.jsonl'), rules);
    printGathered(rules);
    return reached ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
