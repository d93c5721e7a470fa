/**
 * How fast are replies read? Our rules beside ZoneMTA's own lib/bounces.js, on the same replies, in one process and one
 * thread. Prints what was measured; the goals are for the reader to judge.
 */

import { join } from 'node:path';
import { loadRules, packageRulesDir } from '../lib/responses/load';
import { classify } from '../lib/responses/match';
import { readRows } from '../test/corpus/score';

/** The part of zone-mta/lib/bounces.js that is measured. */
interface Bounces {
    reloadBounces(): void;
    check(response: string): unknown;
}

const ROOT = join(packageRulesDir(), '../..');
const GOAL = { perSecond: 50_000, times: 20 };
const ROUNDS = 15;
const ROUND_MS = 250;

/** Microseconds a call, over whole rounds of the corpus. */
function round(replies: readonly string[], read: (reply: string) => unknown): number {
    let calls = 0;
    const started = performance.now();
    let spent: number;
    do {
        for (const reply of replies) {
            read(reply);
        }
        calls += replies.length;
        spent = performance.now() - started;
    } while (spent < ROUND_MS);
    return (spent * 1000) / calls;
}

const middle = (figures: readonly number[]): number => [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0;

/** The two by turns, so that what else the machine does meets both alike; the first third of the rounds warms up. */
function byTurns(replies: readonly string[], one: (reply: string) => unknown, other: (reply: string) => unknown): { one: number; other: number; times: number } {
    const rounds = Array.from({ length: ROUNDS }, () => ({ one: round(replies, one), other: round(replies, other) })).slice(ROUNDS / 3);
    return { one: middle(rounds.map(each => each.one)), other: middle(rounds.map(each => each.other)), times: middle(rounds.map(each => each.other / each.one)) };
}

/** The slowest reply by the best of several tries, so that a pause of the machine is not taken for the reply's own time. */
function slowest(replies: readonly string[], read: (reply: string) => unknown): { reply: string; microseconds: number } {
    return replies
        .map(reply => {
            const tries = Array.from({ length: 20 }, () => {
                const started = performance.now();
                read(reply);
                return (performance.now() - started) * 1000;
            });
            return { reply, microseconds: Math.min(...tries) };
        })
        .reduce((worst, next) => (next.microseconds > worst.microseconds ? next : worst));
}

function print(name: string, value: string): void {
    process.stdout.write(`${name.padEnd(34)} ${value}\n`);
}

async function main(): Promise<void> {
    const started = performance.now();
    const rules = loadRules([packageRulesDir()]);
    print('rules read and proven in', `${(performance.now() - started).toFixed(0)} ms (${rules.rules.length} rules)`);

    const replies = [...new Set(readRows(join(ROOT, 'test/corpus/responses.dev.jsonl')).map(row => row.response))];
    const ours = (text: string): unknown => classify(rules, { code: 0, text, stage: 'none' });
    const bounces = ((await import(join(ROOT, 'test/bed/hosts/zonemta-3.10.3/node_modules/zone-mta/lib/bounces.js'))) as { default: Bounces }).default;
    bounces.reloadBounces();

    const { one: own, other: theirs, times } = byTurns(replies, ours, text => bounces.check(text));
    const perSecond = (microseconds: number): string => `${Math.round(1e6 / microseconds).toLocaleString('en')} a second and core, ${microseconds.toFixed(2)} µs each`;
    // Distinct replies, each read anew: nothing here or in the package keeps an answer for the next time.
    print(`this package, ${replies.length} replies`, `${perSecond(own)} (goal ${GOAL.perSecond.toLocaleString('en')})`);
    print('ZoneMTA lib/bounces.js', perSecond(theirs));
    print('times as fast', `${times.toFixed(1)} (goal ${GOAL.times}; the middle of ${ROUNDS - ROUNDS / 3} rounds by turns)`);

    const worst = slowest(replies, ours);
    print('slowest reply', `${worst.microseconds.toFixed(0)} µs: ${worst.reply.slice(0, 120)}`);
    const hostile = slowest(['your ip ', 'message ', 'user ', '<a@', '1.', 'not ', 'from your '].map(unit => unit.repeat(65536 / unit.length)), ours);
    print('slowest of 64 KiB made to be slow', `${hostile.microseconds.toFixed(0)} µs: ${hostile.reply.slice(0, 40)}…`);
}

void main();
