/** Texts of the chat room. */
import type { Catalogue } from "./texts.ts";

const en = {
  title: "Chat · Tapecast",
  heading: "Chat",
  lead: "One room. Nothing is missed: after a loss of the connection the room goes on where you left it.",
  logLabel: "Messages of the room",
  empty: "Nobody has said anything yet.",
  nameLabel: "Name",
  namePlaceholder: "guest",
  textLabel: "Message",
  textPlaceholder: "Write a message",
  send: "Send",
  newer: "New messages",
  guest: "guest",
  joined: "You joined; {0} earlier messages.",
  recovered: "Back again: {0} recovered, none missed.",
  recoveredNone: "Back again: nothing was missed.",
  notRecovered: "Back again. You were away too long to know what was missed; this is the room's newest part.",
  lost: "{0} messages were left out ({1}).",
  tooFast: "Too fast: wait a second.",
  offline: "No connection: not sent.",
  refused: "Refused: {0}",
  tryHeading: "Try to lose a message",
  tryLead:
    "This drops the connection for five seconds. Write from another window meanwhile: what was said comes back in order, each message once.",
  tryButton: "Drop the connection",
  positionHeading: "Where you are",
  positionLead:
    "Each message has a number. On coming back the page tells the server the last one it has seen, and gets the rest.",
  epoch: "epoch",
  seq: "seq",
};

export type ChatKey = keyof typeof en;

export const chatTexts: Catalogue<ChatKey> = {
  en,
  zh: {
    title: "聊天室 · Tapecast",
    heading: "聊天室",
    lead: "一个房间。什么都不会漏：连接中断之后，从你离开的地方接着来。",
    logLabel: "房间里的消息",
    empty: "还没有人说话。",
    nameLabel: "名字",
    namePlaceholder: "游客",
    textLabel: "消息",
    textPlaceholder: "写点什么",
    send: "发送",
    newer: "有新消息",
    guest: "游客",
    joined: "你加入了房间；之前有 {0} 条消息。",
    recovered: "已恢复连接：补回 {0} 条消息，一条不少。",
    recoveredNone: "已恢复连接：没有漏掉消息。",
    notRecovered: "已恢复连接。离开太久，无法知道漏掉了什么；下面是房间里最新的部分。",
    lost: "有 {0} 条消息被略去（{1}）。",
    tooFast: "发得太快了，请稍等一秒。",
    offline: "没有连接，未发送。",
    refused: "被拒绝：{0}",
    tryHeading: "试试弄丢一条消息",
    tryLead: "这会断开连接五秒。趁这时在另一个窗口里发言：说过的话会按顺序回来，每条只有一次。",
    tryButton: "断开连接",
    positionHeading: "你的位置",
    positionLead: "每条消息都有编号。恢复连接时，页面告诉服务器自己看到的最后一个编号，然后得到其余的。",
    epoch: "纪元 epoch",
    seq: "编号 seq",
  },
};
