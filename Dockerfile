# Three stages: build with everything, install what runs, keep only that.
FROM node:22-alpine AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
RUN npm run build

FROM node:22-alpine AS modules
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:22-alpine
ENV NODE_ENV=production
WORKDIR /app
COPY --from=modules /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# What is read at run time beside the code: recorded prices, Redis Functions, the pages' HTML and CSS.
COPY src/feed/data ./src/feed/data
COPY src/broker/tape-functions.lua ./src/broker/tape-functions.lua
COPY src/web/static ./src/web/static
COPY package.json LICENSE ./
COPY config ./config
USER node
EXPOSE 8080 9464
# The admin port listens on the loopback address unless told otherwise, so the check runs inside of the container.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["serve", "--config", "config/production.yaml"]
