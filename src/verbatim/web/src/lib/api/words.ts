/** What an error means and what to do about it, in the page's language. */
import { messages } from '$lib/i18n/locale.svelte';
import { ApiError, type ErrorKind } from './errors';

interface Told {
  title: string;
  hint: string;
}

const words = messages<Record<ErrorKind, Told>>({
  en: {
    unreachable: {
      title: 'The server does not answer',
      hint: 'Check that Verbatim is running and that you are connected to it.',
    },
    key: {
      title: 'This server asks for a key',
      hint: 'Enter one that its administrator gave you.',
    },
    forbidden: {
      title: 'Your key does not allow this',
      hint: 'Use a key with the right scope.',
    },
    refused: { title: 'The server refused the request', hint: 'Check the options.' },
    too_large: {
      title: 'The recording is too large for this server',
      hint: 'Split it, or ask the administrator to raise the limit.',
    },
    not_audio: {
      title: 'This file holds no sound that can be read',
      hint: 'Audio and video files of all common kinds work.',
    },
    not_found: { title: 'The server does not have this', hint: 'Choose another model.' },
    busy: { title: 'The server is busy', hint: 'Every place is taken just now.' },
    unavailable: { title: 'The server is not ready', hint: 'It may be starting, or stopping.' },
    full: { title: 'The server’s disk is full', hint: 'Its administrator must make room.' },
    internal: { title: 'Something went wrong on the server', hint: 'Its log says more.' },
  },
  'zh-TW': {
    unreachable: {
      title: '伺服器沒有回應',
      hint: '請確認 Verbatim 正在執行，而且您已連上它。',
    },
    key: { title: '這台伺服器需要金鑰', hint: '請輸入管理員給您的金鑰。' },
    forbidden: { title: '您的金鑰不允許這個動作', hint: '請改用具有相應權限的金鑰。' },
    refused: { title: '伺服器拒絕了這個要求', hint: '請檢查選項。' },
    too_large: {
      title: '這段錄音超過伺服器的上限',
      hint: '請分割檔案，或請管理員提高上限。',
    },
    not_audio: {
      title: '這個檔案裡沒有可以讀取的聲音',
      hint: '常見的音訊和影片格式都可以使用。',
    },
    not_found: { title: '伺服器上沒有這個項目', hint: '請選擇其他模型。' },
    busy: { title: '伺服器忙碌中', hint: '目前所有名額都在使用中。' },
    unavailable: { title: '伺服器尚未就緒', hint: '它可能正在啟動或停止。' },
    full: { title: '伺服器的磁碟已滿', hint: '請管理員清出空間。' },
    internal: { title: '伺服器發生錯誤', hint: '詳情請看伺服器的記錄。' },
  },
  ko: {
    unreachable: {
      title: '서버가 응답하지 않습니다',
      hint: 'Verbatim이 실행 중인지, 서버에 연결되어 있는지 확인해 주세요.',
    },
    key: { title: '이 서버는 키가 필요합니다', hint: '관리자에게 받은 키를 입력해 주세요.' },
    forbidden: {
      title: '이 키로는 할 수 없는 작업입니다',
      hint: '필요한 권한이 있는 키를 사용해 주세요.',
    },
    refused: { title: '서버가 요청을 거절했습니다', hint: '옵션을 확인해 주세요.' },
    too_large: {
      title: '녹음이 서버의 한도보다 큽니다',
      hint: '파일을 나누거나 관리자에게 한도를 높여 달라고 요청해 주세요.',
    },
    not_audio: {
      title: '이 파일에는 읽을 수 있는 소리가 없습니다',
      hint: '널리 쓰이는 오디오와 비디오 파일은 모두 사용할 수 있습니다.',
    },
    not_found: { title: '서버에 없는 항목입니다', hint: '다른 모델을 선택해 주세요.' },
    busy: { title: '서버가 사용 중입니다', hint: '지금은 빈자리가 없습니다.' },
    unavailable: {
      title: '서버가 아직 준비되지 않았습니다',
      hint: '시작하거나 종료하는 중일 수 있습니다.',
    },
    full: { title: '서버의 디스크가 가득 찼습니다', hint: '관리자가 공간을 확보해야 합니다.' },
    internal: {
      title: '서버에서 문제가 발생했습니다',
      hint: '자세한 내용은 서버 로그에 있습니다.',
    },
  },
});

/** What to tell of an exception; what is no ApiError is a fault of the page, told as internal. */
export function describe(error: unknown): Told {
  return words()[error instanceof ApiError ? error.kind : 'internal'];
}

export function describeKind(kind: ErrorKind): Told {
  return words()[kind];
}
