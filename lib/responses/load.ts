/**
 * Reads rules from files and proves them. Rules are data that people edit under pressure, so every rule carries the
 * replies it was made for, and a set in which one of them is decided by another rule is not taken.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'smol-toml';
import { packageRoot } from '../settings/package-root';
import { readRule, RuleError, type Table, type Words } from './read-rule';
import { matches, type Rule } from './rule';
import { RuleSet } from './rule-set';
import { readReply, type ReplyText } from './text';

export { RuleError };

/** Of its directory: expressions that its patterns, and those of directories before it, may name. */
const WORDS_FILE = 'words.toml';

/** A pattern that is only ever tried on what it should match proves little. */
const MIN_NEAR_MISSES = 2;

function readTables(path: string): Table {
    try {
        return parse(readFileSync(path, 'utf8'));
    } catch (err) {
        throw new RuleError(basename(path), 'file', `cannot be read: ${(err as Error).message.trim()}`);
    }
}

function readWords(dir: string, names: readonly string[]): Words {
    const words = names.includes(WORDS_FILE) ? readTables(join(dir, WORDS_FILE))['words'] : {};
    if (typeof words !== 'object' || words === null || !Object.values(words).every(word => typeof word === 'string' && word !== '')) {
        throw new RuleError(WORDS_FILE, 'words', 'must be a table of expressions');
    }
    return new Map(Object.entries(words as Record<string, string>));
}

function readFile(path: string, words: Words): Rule[] {
    const file = basename(path);
    const tables = readTables(path)['rule'];
    if (!Array.isArray(tables)) {
        throw new RuleError(file, 'file', 'has no [[rule]]; remove it or add one');
    }
    const rules = tables.map((table, index) => readRule(table as Table, file, index + 1, words));
    const nearMisses = rules.reduce((sum, rule) => sum + rule.nearMisses.length, 0);
    if (nearMisses < MIN_NEAR_MISSES) {
        throw new RuleError(file, 'file', `has ${nearMisses} nearMisses; add replies that its rules must not match, at least ${MIN_NEAR_MISSES}`);
    }
    return rules;
}

function textOf(sample: string): ReplyText {
    return readReply({ code: 0, text: sample, stage: 'none' });
}

/**
 * Every sample must be decided by its own rule. Only a rule of an earlier directory may take it over: that is how an
 * operator overrules a rule of the package.
 */
function proveSamples(rule: Rule, set: RuleSet, packageOf: ReadonlyMap<Rule, number>): void {
    for (const sample of rule.samples) {
        const text = textOf(sample);
        const provider = rule.providers[0];
        if (!matches(rule, text, provider)) {
            throw new RuleError(rule.file, rule.id, `does not match its own sample "${sample}"; mend the pattern or the sample`);
        }
        const winner = set.find(text, provider);
        if (winner && winner !== rule && packageOf.get(winner) === packageOf.get(rule)) {
            throw new RuleError(
                rule.file,
                rule.id,
                `its sample "${sample}" is taken by rule ${winner.id} (${winner.file}); narrow that one or move this one before it`
            );
        }
    }
    for (const nearMiss of rule.nearMisses) {
        if (matches(rule, textOf(nearMiss), rule.providers[0])) {
            throw new RuleError(rule.file, rule.id, `matches its near-miss "${nearMiss}"; narrow the pattern`);
        }
    }
}

/**
 * Loads all rules of the given directories, the operator's before the package's. Within a directory files are read by
 * name and rules in the order of the file; that order is the order in which they are asked.
 *
 * @throws RuleError at the first fault; nothing of a faulty set is used.
 */
export function loadRules(dirs: readonly string[]): RuleSet {
    const rules: Rule[] = [];
    const packageOf = new Map<Rule, number>();
    const seen = new Map<string, Rule>();
    const listings = dirs.map(dir => readdirSync(dir).filter(name => name.endsWith('.toml')).sort());
    const wordsOf = dirs.map((dir, index) => readWords(dir, listings[index] ?? []));
    dirs.forEach((dir, index) => {
        const words = new Map(wordsOf.slice(index).reverse().flatMap(known => [...known]));
        const names = (listings[index] ?? []).filter(name => name !== WORDS_FILE);
        for (const rule of names.flatMap(name => readFile(join(dir, name), words))) {
            const twin = seen.get(rule.id);
            if (twin) {
                throw new RuleError(rule.file, rule.id, `the id is used in ${twin.file} already; choose another`);
            }
            seen.set(rule.id, rule);
            packageOf.set(rule, index);
            rules.push(rule);
        }
    });
    const set = new RuleSet(rules);
    for (const rule of rules) {
        proveSamples(rule, set, packageOf);
    }
    return set;
}

/** The rules that come with the package. */
export function packageRulesDir(): string {
    return join(packageRoot(), 'config', 'rules');
}
