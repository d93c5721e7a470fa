/** The build without native parts has the types of the package. */
declare module 'recheck/lib/browser.js' {
    export { checkSync } from 'recheck';
}
