/**
 * Rules in their order, and the way to the first that matches without comparing the reply with all of them: one pass over
 * the text finds the words in it, and only alternatives whose words are all there are tried. The answer is the same as that
 * of asking every rule (a property test compares them).
 */

import { branchesOf, type OneOf } from './literals';
import { numberLists, type NumberLists } from './number-lists';
import { admits, type Rule } from './rule';
import type { ReplyText } from './text';
import { WordFinder } from './word-finder';

interface Branch {
    rule: Rule;
    expression: RegExp;
}

/** More than these a branch is not asked for: each costs a look, and the first two nearly always decide. */
const MAX_NEEDS = 3;
/** Shorter words are in nearly every reply. */
const SHORT = 3;
/** So much of a word tells it from others, and keeps the table of words small. */
const MAX_WORD = 12;

/** Words that so many replies have that most others tell more. */
const COMMON = /^ ?(?:address|block|blocked|connection|denied|mail|message|recipient|refused|reject|rejected|sender|spam|this|user|your) ?$/;

/** How much a word tells about a text: a letter beyond ASCII is in few replies. */
function weight(word: string): number {
    if (COMMON.test(word)) {
        return SHORT;
    }
    return /[^\u0000-\u007f]/.test(word) ? word.length + SHORT : word.length;
}

/** The choices of words worth asking for, the most telling first. */
function worthwhile(needs: readonly OneOf[]): OneOf[] {
    const least = (choice: OneOf): number => Math.min(...choice.map(weight));
    const best = [...needs].sort((a, b) => least(b) - least(a));
    return best.filter((choice, index) => index === 0 || least(choice) >= SHORT).slice(0, MAX_NEEDS);
}

export class RuleSet {
    /** The alternatives of all rules, in the order of the rules. */
    private readonly branches: readonly Branch[];
    /** By number of a word: the branches that are tried only when it, or another word of the same choice, is there. */
    private readonly waiting: NumberLists;
    /** By number of a branch: the choices of words that a match needs besides the one that the branch waits for. */
    private readonly needs: NumberLists;
    /** By number of a choice: its words. */
    private readonly choices: NumberLists;
    private readonly finder: WordFinder;
    /** One bit a branch: which ones this reply has to be compared with. */
    private readonly due: Uint32Array;
    /** Branches that need no word. */
    private readonly always: Uint32Array;

    /** @param rules in the order in which they are asked; the first that matches decides */
    constructor(readonly rules: readonly Rule[]) {
        const numbers = new Map<string, number>();
        const numberOf = (word: string): number => {
            const number = numbers.get(word) ?? numbers.size;
            numbers.set(word, number);
            return number;
        };
        const branches = rules.flatMap(rule => (rule.pattern ? branchesOf(rule.pattern) : [{ expression: /(?:)/, needs: [] }]).map(branch => ({ rule, ...branch })));
        const waiting: number[][] = [];
        const choices: number[][] = [];
        this.due = new Uint32Array(Math.ceil(branches.length / 32));
        this.always = new Uint32Array(this.due.length);
        this.branches = branches.map(({ rule, expression }) => ({ rule, expression }));
        this.needs = numberLists(
            branches.map(({ needs }, index) => {
                const [first, ...others] = worthwhile(needs).map(choice => [...new Set(choice.map(word => numberOf(word.slice(0, MAX_WORD))))]);
                if (!first) {
                    setBit(this.always, index);
                }
                first?.forEach(word => (waiting[word] ??= []).push(index));
                return others.map(choice => choices.push(choice) - 1);
            })
        );
        this.choices = numberLists(choices);
        this.waiting = numberLists(Array.from({ length: numbers.size }, (_, word) => waiting[word] ?? []));
        this.finder = new WordFinder([...numbers.keys()]);
    }

    /** The rule that decides about this text, if any knows it. */
    find(text: ReplyText, provider?: string): Rule | undefined {
        const { due, branches } = this;
        due.set(this.always);
        this.wake(text.body);
        for (let block = 0; block < due.length; block += 1) {
            for (let bits = due[block] ?? 0; bits !== 0; bits &= bits - 1) {
                const branch = block * 32 + 31 - Math.clz32(bits & -bits);
                if (!this.hasAll(branch)) {
                    continue;
                }
                const { rule, expression } = branches[branch] as Branch;
                if (admits(rule, text, provider) && expression.test(text.body) && !rule.unless?.test(text.body)) {
                    return rule;
                }
            }
        }
        return undefined;
    }

    private wake(body: string): void {
        const { due, waiting, finder } = this;
        const count = finder.read(body);
        for (let i = 0; i < count; i += 1) {
            const word = finder.found[i] ?? 0;
            const end = waiting.first[word + 1] ?? 0;
            for (let at = waiting.first[word] ?? 0; at < end; at += 1) {
                setBit(due, waiting.all[at] ?? 0);
            }
        }
    }

    /** Is a word of each choice there that the branch needs? (Loops: this is asked some dozen times a reply.) */
    private hasAll(branch: number): boolean {
        const { needs, choices, finder } = this;
        const end = needs.first[branch + 1] ?? 0;
        for (let at = needs.first[branch] ?? 0; at < end; at += 1) {
            if (!finder.hasOneOf(choices, needs.all[at] ?? 0)) {
                return false;
            }
        }
        return true;
    }
}

function setBit(bits: Uint32Array, index: number): void {
    bits[index >>> 5] = (bits[index >>> 5] ?? 0) | (1 << (index & 31));
}
