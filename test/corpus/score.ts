import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { freshState } from '../../lib/delivery/state';
import type { Classification, ReplyClass } from '../../lib/delivery/types';
import { decide, type Verdict } from '../../lib/policy/decide';
import { classify, defaultScope, isIpRelated } from '../../lib/responses/match';
import { RuleSet } from '../../lib/responses/rule-set';

/** What the rules must reach: striking a good address costs more than trying once more from another. */
export const GOAL = { precision: 0.99, recall: 0.98 };

/** One labelled reply of the corpus. */
export interface Row {
    response: string;
    /** SMTP code, null when no reply was received. */
    code: number | null;
    label: ReplyClass;
    ipRelated: boolean;
    provider: string | null;
    source: string;
    /** Two careful readers would not agree on the label; such rows count for nothing. */
    ambiguous: boolean;
    /** Of the third that rules must not be written from. Not in the file: see `readRows`. */
    heldOut: boolean;
}

export interface Miss {
    row: Row;
    class: ReplyClass;
    rule: string;
}

export interface Score {
    /** Rows that were counted (those that are not ambiguous). */
    rows: number;
    /** Of the question "would another address have made the difference?"; 1 is best. */
    precision: number;
    recall: number;
    f1: number;
    /** Of the class itself. */
    accuracy: number;
    /** label → class given → rows. */
    confusion: Map<ReplyClass, Map<ReplyClass, number>>;
    /** Rows that were answered wrongly, in the order of the file. */
    misses: Miss[];
}

/** Wrong answers that cost something, by what the policy would do with them. */
export interface Costs {
    /** Replies about message, sender or recipient that would be tried from elsewhere and end at the relay. Must be 0. */
    relayed: Miss[];
    /** Greylisted deliveries that would lose their place in the queue by another address. */
    rotated: Miss[];
    /** Refusals of the address that would end as a bounce. */
    bounced: Miss[];
    /** Of the question "is another address, or the relay, the next step?". */
    precision: number;
    recall: number;
    f1: number;
}

/** Batches whose third has been measured and then read: rules are written from all of their rows. */
const READ = /\.gathered-(?:[1-9]|1[0-8])\.jsonl$/;

/**
 * Reads a corpus file, one JSON object a line. The third that is held out is chosen by hash, so that it stays the same when
 * rows are added or moved.
 */
export function readRows(path: string): Row[] {
    return readFileSync(path, 'utf8')
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line) as Omit<Row, 'heldOut'>)
        .map(row => ({ ...row, heldOut: !READ.test(path) && createHash('sha256').update(row.response).digest().readUInt32BE(0) % 3 === 0 }));
}

function share(part: number, whole: number): number {
    return whole === 0 ? 1 : part / whole;
}

function harmonic(precision: number, recall: number): number {
    return precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
}

/** What the rules make of a row, as they would of a reply that its provider sent. */
export function ask(rules: RuleSet, row: Row): Classification {
    return classify(rules, { code: row.code ?? 0, text: row.response, stage: 'none' }, row.provider ?? undefined);
}

/** What the policy does first with a reply of this class: a fresh delivery, addresses left, a relay behind them. */
export function firstVerdict(reply: Classification, code: number): Verdict['action'] {
    const hour = 3_600_000;
    const attempt = { at: 0, address: '192.0.2.1', family: 'ipv4', provider: 'example', mx: '', class: reply.class, rule: reply.rule, code, response: '', ms: 1 } as const;
    return decide({
        state: freshState('default'),
        attempt,
        reply,
        settings: { attempts: 4, delays: [0], relayAfter: { 'ip-rate': 2 * hour }, maxAge: 24 * hour },
        left: 'open',
        brake: 'free',
        stage: 'rcpt',
        relays: ['relay'],
        relayOff: false,
        zone: 'default',
        schedule: [hour],
        deferred: 0,
        now: 0,
        random: () => 0.5
    }).verdict.action;
}

/** What wrong answers would cost, decided by the policy itself. */
export function costs(rows: readonly Row[], rules: RuleSet): Costs {
    const result: Costs = { relayed: [], rotated: [], bounced: [], precision: 1, recall: 1, f1: 1 };
    const moves = (action: Verdict['action']): boolean => action === 'reroute' || action === 'relay';
    let [hits, given, wanted] = [0, 0, 0];
    for (const row of rows.filter(candidate => !candidate.ambiguous)) {
        const found = ask(rules, row);
        const code = row.code ?? 0;
        const labelled: Classification = { ...found, class: row.label, ipRelated: row.ipRelated, scope: defaultScope(row.label) };
        const [does, should] = [moves(firstVerdict(found, code)), moves(firstVerdict(labelled, code))];
        const miss = { row, class: found.class, rule: found.rule };
        given += Number(does);
        wanted += Number(should);
        hits += Number(does && should);
        if (does && row.label === 'greylist') {
            result.rotated.push(miss);
        } else if (does && !isIpRelated(row.label)) {
            result.relayed.push(miss);
        } else if (should && !isIpRelated(found.class) && code >= 500) {
            result.bounced.push(miss);
        }
    }
    const [precision, recall] = [share(hits, given), share(hits, wanted)];
    return { ...result, precision, recall, f1: harmonic(precision, recall) };
}

/** The rules that belong to no provider: what an unknown provider is read with. */
export function withoutProviders(rules: RuleSet): RuleSet {
    return new RuleSet(rules.rules.filter(rule => !rule.file.startsWith('10-')));
}

/** Compares what the rules say with the labels. */
export function score(rows: readonly Row[], rules: RuleSet): Score {
    const counted = rows.filter(row => !row.ambiguous);
    const confusion: Score['confusion'] = new Map();
    const misses: Miss[] = [];
    let [hits, named, related, exact] = [0, 0, 0, 0];
    for (const row of counted) {
        const found = ask(rules, row);
        named += Number(found.ipRelated);
        related += Number(row.ipRelated);
        hits += Number(found.ipRelated && row.ipRelated);
        exact += Number(found.class === row.label);
        if (found.ipRelated !== row.ipRelated) {
            misses.push({ row, class: found.class, rule: found.rule });
        }
        const given = confusion.get(row.label) ?? new Map<ReplyClass, number>();
        confusion.set(row.label, given.set(found.class, (given.get(found.class) ?? 0) + 1));
    }
    const [precision, recall] = [share(hits, named), share(hits, related)];
    return { rows: counted.length, precision, recall, f1: harmonic(precision, recall), accuracy: share(exact, counted.length), confusion, misses };
}
