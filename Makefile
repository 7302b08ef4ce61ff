.PHONY: protos
# placeholder, completed with the project scaffolding
protos:
	rm -rf client/spikewire/v1 && mkdir -p client/spikewire/v1
	.venv-protos/bin/python -m grpc_tools.protoc -I protos --python_out=client --mypy_out=client protos/spikewire/v1/*.proto
	.venv-protos/bin/python -m grpc_tools.protoc -I protos --grpc_python_out=client --mypy_grpc_out=client protos/spikewire/v1/*_service.proto
	printf '"""Generated from protos/spikewire/v1 by make protos; do not edit."""\n' > client/spikewire/v1/__init__.py
