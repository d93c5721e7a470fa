import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ReplyClass } from '../../lib/delivery/types';
import { classify } from '../../lib/responses/match';
import type { RuleSet } from '../../lib/responses/rule';

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

/** Reads a corpus file, one JSON object a line. */
export function readRows(path: string): Row[] {
    return readFileSync(path, 'utf8')
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line) as Row);
}

/**
 * The third of the corpus that rules must not be written from. Chosen by hash, so that it stays the same when rows are
 * added or moved.
 */
export function isHeldOut(row: Row): boolean {
    return createHash('sha256').update(row.response).digest().readUInt32BE(0) % 3 === 0;
}

/** Compares what the rules say with the labels. */
export function score(rows: readonly Row[], rules: RuleSet): Score {
    const counted = rows.filter(row => !row.ambiguous);
    const confusion: Score['confusion'] = new Map();
    const misses: Miss[] = [];
    let [hits, named, related, exact] = [0, 0, 0, 0];
    for (const row of counted) {
        const found = classify(rules, { code: row.code ?? 0, text: row.response, stage: 'none' }, row.provider ?? undefined);
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
    const precision = named === 0 ? 1 : hits / named;
    const recall = related === 0 ? 1 : hits / related;
    return {
        rows: counted.length,
        precision,
        recall,
        f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall),
        accuracy: counted.length === 0 ? 1 : exact / counted.length,
        confusion,
        misses
    };
}
