import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { classify } from '../../lib/responses/match';
import { WatchedRules } from '../../lib/responses/watch';

let dir: string;
let told: string[];

/** A file with one rule: the word is of the class. */
function rule(replyClass: string, word = 'foo'): string {
    return `[[rule]]\nid = "one"\nclass = "${replyClass}"\npattern = "${word}"\nsamples = ["550 foo"]\nnearMisses = ["550 a", "550 b"]\nsource = "log"\n`;
}

function watched(): WatchedRules {
    return new WatchedRules([dir], { taken: rules => told.push(`taken ${rules}`), refused: error => told.push(error) });
}

function read(rules: WatchedRules): string {
    return classify(rules.current, { code: 550, text: '550 foo', stage: 'none' }).class;
}

beforeEach(() => {
    told = [];
    dir = mkdtempSync(join(tmpdir(), 'rules-'));
    writeFileSync(join(dir, 'a.toml'), rule('content'));
});

afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
});

describe('a rules file that is changed', () => {
    it('is taken up without a restart', () => {
        const rules = watched();
        writeFileSync(join(dir, 'a.toml'), rule('recipient'));
        rules.look();
        expect(read(rules)).toBe('recipient');
        expect(told).toEqual(['taken 1']);
    });

    it('is taken up when another file takes its place', () => {
        const rules = watched();
        writeFileSync(join(dir, 'new'), rule('recipient'));
        renameSync(join(dir, 'new'), join(dir, 'a.toml'));
        rules.look();
        expect(read(rules)).toBe('recipient');
    });

    it('and broken leaves the last good set in force, and is told of once', () => {
        const rules = watched();
        writeFileSync(join(dir, 'a.toml'), rule('recipient', 'bar'));
        rules.look();
        rules.look();
        expect(read(rules)).toBe('content');
        expect(told).toEqual(['a.toml: one: does not match its own sample "550 foo"; mend the pattern or the sample']);
    });

    it('and mended again is taken up', () => {
        const rules = watched();
        writeFileSync(join(dir, 'a.toml'), '[[rule');
        rules.look();
        writeFileSync(join(dir, 'a.toml'), rule('size'));
        rules.look();
        expect(read(rules)).toBe('size');
        expect(told.at(-1)).toBe('taken 1');
    });

    it('is no news while nothing changes', () => {
        const rules = watched();
        rules.look();
        expect(told).toEqual([]);
    });

    it('is seen by itself after start', async () => {
        const rules = watched();
        rules.start(10);
        writeFileSync(join(dir, 'a.toml'), rule('recipient'));
        await expect.poll(() => read(rules), { timeout: 5000 }).toBe('recipient');
        rules.stop();
    });
});

it('a directory that goes away leaves the last good set in force', () => {
    const rules = watched();
    rmSync(dir, { recursive: true });
    rules.look();
    expect(read(rules)).toBe('content');
    expect(told[0]).toContain('ENOENT');
});
