import { mount } from 'svelte';
import './styles/tokens.css';
import './styles/base.css';
import App from './app/App.svelte';
import { keys } from '$lib/api/keys.svelte';
import { server } from '$lib/api/server.svelte';
import { history } from '$lib/history/history.svelte';
import { locale } from '$lib/i18n/locale.svelte';
import { prefs } from '$lib/prefs.svelte';
import { router } from '$lib/router.svelte';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');

prefs.begin();
locale.begin();
keys.begin();
router.begin();
history.begin();
server.begin();
mount(App, { target });
