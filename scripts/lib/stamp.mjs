import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** CI proves that everything can be made from nothing: there no stamp counts. */
const trustStamps = process.env.CI !== 'true';

/** Whether the step that left `file` did so from the same `value`. */
export function isStamped(file, value) {
    if (!trustStamps) return false;
    return readStamp(file) === value;
}

/** What the stamp says, or undefined. */
export function readStamp(file) {
    try {
        return readFileSync(file, 'utf8');
    } catch {
        return undefined;
    }
}

/** Remembers that a step is done; call it after the step, never before. */
export function writeStamp(file, value) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, value);
}

/** A hash of strings and buffers. */
export function hash(...parts) {
    const sum = createHash('sha256');
    for (const part of parts) sum.update(part).update('\0');
    return sum.digest('hex');
}

/** All files below `paths` (files or folders, missing ones are left out), sorted; node_modules are not entered. */
export function listFiles(root, paths) {
    const found = [];
    const visit = path => {
        const stat = statSync(join(root, path), { throwIfNoEntry: false });
        if (stat?.isFile()) found.push(path);
        if (!stat?.isDirectory()) return;
        for (const entry of readdirSync(join(root, path))) if (entry !== 'node_modules') visit(join(path, entry));
    };
    paths.forEach(visit);
    return found.sort();
}

/** A hash of the names and contents of `files`. */
export function hashFiles(root, files) {
    return hash(...files.flatMap(file => [file, readFileSync(join(root, file))]));
}
