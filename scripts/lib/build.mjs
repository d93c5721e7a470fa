import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { hosts, npm } from './npm.mjs';
import { run, say } from './run.mjs';
import { hash, hashFiles, isStamped, listFiles, readStamp, writeStamp } from './stamp.mjs';

const outputs = [
    { project: 'tsconfig.build.json', sources: ['plugins', 'lib', 'bin'], into: ['dist'] },
    {
        project: 'tsconfig.bed.json',
        sources: ['plugins', 'lib', 'bin', 'test/bed', 'bench'],
        into: ['.build/test', '.build/bench', '.build/plugins', '.build/lib', '.build/bin']
    }
];

/** Compiles the package into dist/ and the test bed into .build/, each only when a source of it changed. */
export async function buildAll(root) {
    for (const output of outputs) await compile(root, output);
}

async function compile(root, { project, sources, into }) {
    const files = listFiles(root, sources).filter(file => file.endsWith('.ts') || file.endsWith('.json'));
    const settings = ['tsconfig.json', project, 'package-lock.json'];
    const names = hash(...files);
    const stamp = join(root, '.build/setup', `${project}.stamp`);
    const value = `${names} ${hash(hashFiles(root, [...files, ...settings]), process.version)}`;
    if (isStamped(stamp, value) && existsSync(join(root, into[0]))) return;

    const memory = join(root, '.build/setup', `${project}.tsbuildinfo`);
    // A source that went away leaves its output behind, and with it a package that no clone would make.
    if (readStamp(stamp)?.split(' ')[0] !== names) {
        for (const folder of into) rmSync(join(root, folder), { recursive: true, force: true });
        rmSync(memory, { force: true });
    }
    const args = ['node_modules/typescript/bin/tsc', '-p', project, '--incremental', '--tsBuildInfoFile', memory, '--noEmitOnError'];
    await run(process.execPath, args, { cwd: root, what: `the TypeScript of ${project} does not compile`, mend: 'mend the errors above' });
    writeStamp(stamp, value);
    say(`compiled ${project}`);
}

/** Packs this package and installs it into both ZoneMTA releases, as an operator would. */
export async function installPackage(root) {
    const manifest = JSON.parse(readStamp(join(root, 'package.json')));
    const content = hashFiles(root, listFiles(root, ['package.json', ...manifest.files]));
    for (const host of hosts) {
        const stamp = join(root, host, 'node_modules/.package-stamp');
        if (isStamped(stamp, content) && existsSync(join(root, host, 'node_modules', manifest.name))) continue;
        const file = await pack(root, manifest, content);
        // --no-save leaves the lock file alone, and with it the host's own modules.
        await npm(['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', file], {
            cwd: join(root, host),
            what: `cannot install the package into ${host}`
        });
        writeStamp(stamp, content);
        say(`installed the package into ${host}`);
    }
}

/** The file's name carries its content, because npm takes a file of the same name and version for the one it has. */
async function pack(root, manifest, content) {
    const build = join(root, '.build');
    const wanted = `${manifest.name}-${manifest.version}-${content.slice(0, 12)}.tgz`;
    if (statSync(join(build, wanted), { throwIfNoEntry: false })) return join(build, wanted);
    for (const old of readdirSync(build)) if (old.endsWith('.tgz')) rmSync(join(build, old));
    await npm(['pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', build], { cwd: root, what: 'cannot pack the package' });
    renameSync(join(build, `${manifest.name}-${manifest.version}.tgz`), join(build, wanted));
    return join(build, wanted);
}
