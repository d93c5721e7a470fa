// Makes a clone ready for tests and demo: npm packages, both ZoneMTA releases, services, a MongoDB, the build.
// It uses Node's own modules only, because it runs before anything is installed, and it does only what is not done yet.
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAll, installPackage } from './lib/build.mjs';
import { installServices } from './lib/debian.mjs';
import { takeLock } from './lib/lock.mjs';
import { provideMongo } from './lib/mongo.mjs';
import { installHosts, installRoot } from './lib/npm.mjs';
import { report } from './lib/run.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

const release = await takeLock();
try {
    await installRoot(root);
    await installHosts(root);
    await installServices();
    await provideMongo(root);
    await buildAll(root);
    await installPackage(root);
} catch (error) {
    report(error);
    process.exitCode = 1;
} finally {
    release();
}
