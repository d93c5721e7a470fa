// Fetches the official mongod into a folder and prints its path. A process of its own, so that a download that
// hangs can be ended: it has to bring its first bytes soon, or else there is no way to the internet from here.
import { createRequire } from 'node:module';
import { readdirSync } from 'node:fs';

const [root, version, dir] = process.argv.slice(2);
const firstBytesWithin = 12_000;

const require = createRequire(`${root}/package.json`);
process.env.MONGOMS_MAX_RETRIES = '0';
// Progress bars on stdout would end up in the path.
console.log = console.error;

setTimeout(() => {
    if (readdirSync(dir).length) return;
    console.error(`no byte of mongod ${version} within ${firstBytesWithin / 1000} s`);
    process.exit(1);
}, firstBytesWithin).unref();

const { MongoBinary } = require('mongodb-memory-server-core');
MongoBinary.getPath({ version, downloadDir: dir, checkMD5: false, systemBinary: '' }).then(
    path => process.stdout.write(path),
    error => {
        console.error(error.message);
        process.exit(1);
    }
);
