import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { precompress } from './build/precompress';

/** Where `npm run dev` finds the API. */
const SERVER = process.env['VERBATIM_URL'] ?? 'http://127.0.0.1:8000';
const OUT = fileURLToPath(new URL('./dist', import.meta.url));

export default defineConfig({
  // Relative, so that the page also works below a path of a reverse proxy.
  base: './',
  plugins: [svelte(), precompress(OUT)],
  resolve: { alias: { $lib: fileURLToPath(new URL('./src/lib', import.meta.url)) } },
  build: {
    outDir: OUT,
    assetsDir: 'page',
    // The content security policy has no place for data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    reportCompressedSize: false,
  },
  server: { proxy: { '/v1': { target: SERVER, ws: true }, '/health': SERVER } },
});
