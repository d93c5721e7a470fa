import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from './cache.mjs';
import { SetupError, isExecutable, run, say, which } from './run.mjs';
import { hashFiles, writeStamp } from './stamp.mjs';

/** The last MongoDB that the driver of both ZoneMTA releases (4.17) supports. */
const mongodVersion = '7.0.24';
const secantusVersion = '0.7.0b3';
const ferretFolder = 'test/bed/services/ferretdb';
const choiceFile = join(cacheDir, 'mongo.json');
/** What this checkout runs on: others on the machine may be at another version of the FerretDB below. */
const ownChoice = root => join(root, '.build', 'setup', 'mongo.json');

/**
 * ZoneMTA needs a MongoDB, Debian has none: takes the first way that works, and remembers it for later runs and for
 * test/bed/services/mongo.ts as `{kind, program}`. MONGO_URL is not remembered; it counts while it is set.
 */
export async function provideMongo(root) {
    if (process.env.MONGO_URL) return;
    const known = readChoice(root);
    if (isExecutable(known?.program)) return writeStamp(ownChoice(root), JSON.stringify(known));

    const refused = [];
    for (const way of [installed, downloaded, ferretdb, secantusdb]) {
        try {
            const choice = await way(root);
            writeStamp(choiceFile, JSON.stringify(choice));
            writeStamp(ownChoice(root), JSON.stringify(choice));
            say(`MongoDB for the tests: ${choice.kind}`);
            return;
        } catch (error) {
            if (!(error instanceof SetupError)) throw error;
            refused.push(`${way.name}: ${error.message}${error.output ? `\n${error.output.trimEnd().split('\n').slice(-5).join('\n')}` : ''}`);
        }
    }
    throw new SetupError('no MongoDB can be had here', {
        output: refused.join('\n'),
        mend: 'set MONGO_URL, or put mongod on PATH, or install Go 1.24 or newer (Debian 12 has 1.19) or Python 3.11 or newer with venv'
    });
}

/** What an earlier run chose; a FerretDB always as this checkout builds it. */
function readChoice(root) {
    try {
        const choice = JSON.parse(readFileSync(choiceFile, 'utf8'));
        return choice.kind.startsWith('ferretdb') ? { ...choice, program: ferretProgram(root) } : choice;
    } catch {
        return undefined;
    }
}

async function installed() {
    const program = which('mongod');
    if (!program) throw new SetupError('no mongod on PATH');
    return { kind: await mongodKind(program), program };
}

async function downloaded(root) {
    const dir = join(cacheDir, 'mongod');
    // What an interrupted download left would pass for its first bytes.
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    const script = join(root, 'scripts/lib/mongo-download.mjs');
    const program = await run(process.execPath, [script, root, mongodVersion, dir], { what: 'cannot download mongod' });
    return { kind: await mongodKind(program), program };
}

/** Also shows that the program runs here: it needs libraries and processor features that not every machine has. */
async function mongodKind(program) {
    const text = await run(program, ['--version'], { timeout: 10_000, what: `${program} does not run here` });
    return `mongod-${/v([\d.]+)/.exec(text)?.[1] ?? 'unknown'}`;
}

async function ferretdb(root) {
    const go = which('go');
    if (!go) throw new SetupError('no go on PATH');
    const version = await run(go, ['env', 'GOVERSION'], { what: 'go does not run' });
    const [, major, minor] = /go(\d+)\.(\d+)/.exec(version) ?? [];
    if (Number(major) < 1 || (Number(major) === 1 && Number(minor) < 24)) {
        throw new SetupError(`FerretDB needs Go 1.24 or newer, this is ${version.trim()}`);
    }
    const program = ferretProgram(root);
    say('building FerretDB, which takes about a minute, once');
    await run(go, ['build', '-mod=readonly', '-trimpath', '-tags', 'ferretdb_no_postgresql', '-o', program, '.'], {
        cwd: join(root, ferretFolder),
        what: 'cannot build FerretDB'
    });
    return { kind: 'ferretdb-1.24.2 (sqlite)', program };
}

function ferretProgram(root) {
    const source = hashFiles(join(root, ferretFolder), ['go.mod', 'go.sum', 'main.go', 'serial.go']);
    return join(cacheDir, 'bin', `ferretdb-1.24.2-${source.slice(0, 12)}`);
}

async function secantusdb() {
    const python = which('python3');
    if (!python) throw new SetupError('no python3 on PATH');
    const venv = join(cacheDir, 'secantusdb');
    rmSync(venv, { recursive: true, force: true });
    await run(python, ['-m', 'venv', venv], { what: 'cannot make a Python environment' });
    await run(join(venv, 'bin/pip'), ['install', '--quiet', `secantusdb==${secantusVersion}`], { what: 'cannot install SecantusDB' });
    return { kind: `secantusdb-${secantusVersion}`, program: join(venv, 'bin/secantusd-py') };
}
