#!/usr/bin/env bash
# Rebuilds the generated Go code of shared/proto from the .proto files, with the tools
# that go.mod pins. Needs Go and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
for file in wirepb/wire.proto recordpb/recording.proto handoverpb/handover.proto; do
  go run ./scripts/protogen -root shared/proto -parameter paths=source_relative "$file"
done
for file in pluginpb/membership.proto notifypb/notify.proto greppb/grep.proto; do
  go run ./scripts/protogen -root shared/proto -parameter plugins=grpc,paths=source_relative "$file"
done
gofmt -w shared/proto
