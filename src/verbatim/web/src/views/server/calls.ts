/** How to call this server, ready to be copied. */

export const CALLS = ['curl', 'python', 'javascript', 'live'] as const;
export type Call = (typeof CALLS)[number];

const KEY = 'YOUR_KEY';

/**
 * @param base address of the server, without a slash at its end.
 * @param keyed whether it asks for a key.
 */
export function example(call: Call, base: string, keyed: boolean): string {
  switch (call) {
    case 'curl':
      return [
        `curl ${base}/v1/audio/transcriptions \\`,
        ...(keyed ? [`  -H "Authorization: Bearer ${KEY}" \\`] : []),
        '  -F file=@talk.mp3 -F model=whisper-1',
      ].join('\n');
    case 'python':
      return [
        'from openai import OpenAI',
        '',
        `client = OpenAI(base_url="${base}/v1", api_key="${keyed ? KEY : 'none'}")`,
        'with open("talk.mp3", "rb") as file:',
        '    transcript = client.audio.transcriptions.create(model="whisper-1", file=file)',
        'print(transcript.text)',
      ].join('\n');
    case 'javascript':
      return [
        'const form = new FormData();',
        'form.append("file", fileInput.files[0]);',
        'form.append("model", "whisper-1");',
        `const response = await fetch("${base}/v1/audio/transcriptions", {`,
        '  method: "POST",',
        ...(keyed ? [`  headers: { Authorization: "Bearer ${KEY}" },`] : []),
        '  body: form,',
        '});',
        'console.log((await response.json()).text);',
      ].join('\n');
    case 'live': {
      const socket = `${base.replace(/^http/, 'ws')}/v1/live`;
      const protocols = keyed ? `, ["verbatim", "verbatim.key.${KEY}"]` : '';
      return [
        `const socket = new WebSocket("${socket}"${protocols});`,
        'socket.onopen = () =>',
        '  socket.send(JSON.stringify({ type: "start", format: "pcm16", rate: 16000 }));',
        'socket.onmessage = ({ data }) => {',
        '  const message = JSON.parse(data);',
        '  if (message.type === "text") console.log(message.committed + message.tail);',
        '};',
        '// then, for every piece of 16-bit audio: socket.send(samples)',
      ].join('\n');
    }
  }
}
