/** Texts of the masthead. */
import type { Catalogue } from "./texts.ts";

const en = {
  skip: "Skip to the content",
  navLabel: "Pages",
  navQuotes: "Quotes",
  navDanmaku: "Danmaku",
  navChat: "Chat",
  navLesson: "Lesson",
  languageLabel: "Language",
  retryNow: "Try now",
  stateConnecting: "connecting…",
  stateOpen: "connected",
  stateWaiting: "connection lost, coming back…",
  stateClosed: "closed",
  stateStopped: "the server closed it for good ({0})",
};

export type ShellKey = keyof typeof en;

export const shellTexts: Catalogue<ShellKey> = {
  en,
  zh: {
    skip: "跳到正文",
    navLabel: "页面",
    navQuotes: "行情",
    navDanmaku: "弹幕",
    navChat: "聊天室",
    navLesson: "协议课",
    languageLabel: "语言",
    retryNow: "立即重试",
    stateConnecting: "正在连接…",
    stateOpen: "已连接",
    stateWaiting: "连接中断，正在恢复…",
    stateClosed: "已关闭",
    stateStopped: "服务器已拒绝连接（{0}）",
  },
};
