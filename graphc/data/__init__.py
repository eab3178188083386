"""Host readers of LMDB, HDF5, images and npz, and Caffe's transforms.

May import `ir`, `errors`, `limits`.
"""
