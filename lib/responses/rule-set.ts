/**
 * Rules in their order, and the way to the first that matches without comparing the reply with all of them: one pass over
 * the text finds the words in it, and only alternatives whose words are all there are tried. The answer is the same as that
 * of asking every rule (a property test compares them).
 */

import { branchesOf, type OneOf } from './literals';
import { admits, type Rule } from './rule';
import type { ReplyText } from './text';
import { WordFinder } from './word-finder';

interface Branch {
    rule: Rule;
    expression: RegExp;
    /** Numbers of the choices of words that a match needs. */
    needs: readonly number[];
}

/** More than these a branch is not asked for: each costs a look, and the first two nearly always decide. */
const MAX_NEEDS = 3;
/** Shorter words are in nearly every reply. */
const SHORT = 3;

/** The choices of words worth asking for, the most telling first. */
function worthwhile(needs: readonly OneOf[]): OneOf[] {
    const shortest = (choice: OneOf): number => Math.min(...choice.map(word => word.length));
    const best = [...needs].sort((a, b) => shortest(b) - shortest(a));
    return best.filter((choice, index) => index === 0 || shortest(choice) >= SHORT).slice(0, MAX_NEEDS);
}

export class RuleSet {
    /** The alternatives of all rules, in the order of the rules. */
    private readonly branches: readonly Branch[];
    /** By number of a choice: the branches that are tried only when one of its words is there. */
    private readonly waiting: readonly number[][];
    private readonly finder: WordFinder;
    /** One bit a branch: which ones this reply has to be compared with. */
    private readonly due: Uint32Array;
    /** Branches that need no word. */
    private readonly always: Uint32Array;

    /** @param rules in the order in which they are asked; the first that matches decides */
    constructor(readonly rules: readonly Rule[]) {
        const numbers = new Map<string, number>();
        const words: [string, number][] = [];
        const numberOf = (choice: OneOf): number => {
            const key = choice.join('\n');
            const known = numbers.get(key);
            if (known !== undefined) {
                return known;
            }
            const number = numbers.size;
            numbers.set(key, number);
            words.push(...choice.map(word => [word, number] as [string, number]));
            return number;
        };
        this.branches = rules.flatMap(rule =>
            rule.pattern
                ? branchesOf(rule.pattern).map(({ expression, needs }) => ({ rule, expression, needs: worthwhile(needs).map(numberOf) }))
                : [{ rule, expression: /(?:)/, needs: [] }]
        );
        this.waiting = [...numbers].map(() => []);
        this.due = new Uint32Array(Math.ceil(this.branches.length / 32));
        this.always = new Uint32Array(this.due.length);
        this.branches.forEach(({ needs: [first] }, index) => {
            if (first === undefined) {
                setBit(this.always, index);
            } else {
                this.waiting[first]?.push(index);
            }
        });
        this.finder = new WordFinder(words);
    }

    /** The rule that decides about this text, if any knows it. */
    find(text: ReplyText, provider?: string): Rule | undefined {
        const { due, branches } = this;
        due.set(this.always);
        this.finder.read(text.body, this.awake);
        for (let block = 0; block < due.length; block += 1) {
            for (let bits = due[block] ?? 0; bits !== 0; bits &= bits - 1) {
                const { rule, expression, needs } = branches[block * 32 + 31 - Math.clz32(bits & -bits)] as Branch;
                if (this.all(needs) && admits(rule, text, provider) && expression.test(text.body) && !rule.unless?.test(text.body)) {
                    return rule;
                }
            }
        }
        return undefined;
    }

    private readonly awake = (number: number): void => {
        for (const index of this.waiting[number] ?? []) {
            setBit(this.due, index);
        }
    };

    private all(needs: readonly number[]): boolean {
        for (let i = 1; i < needs.length; i += 1) {
            if (!this.finder.has(needs[i] ?? 0)) {
                return false;
            }
        }
        return true;
    }
}

function setBit(bits: Uint32Array, index: number): void {
    bits[index >>> 5] = (bits[index >>> 5] ?? 0) | (1 << (index & 31));
}
